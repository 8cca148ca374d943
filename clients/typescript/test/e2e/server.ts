/** A real server, and a network in front of it that can be made bad. */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createServer, connect, type Server, type Socket, type AddressInfo } from "node:net";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const PROGRAM = fileURLToPath(new URL("../../../../.venv/bin/tokentape", import.meta.url));

export interface TokentapeServer {
  readonly url: string;
  /** Ends the process at once, as `kill -9` does. */
  kill(): Promise<void>;
}

/** Starts `tokentape serve`; settings come by the environment. */
export async function startServer(settings: Record<string, string> = {}, port = 0): Promise<TokentapeServer> {
  const child: ChildProcess = spawn(PROGRAM, ["serve", "--json", "--port", String(port)], {
    env: { ...process.env, TOKENTAPE_STORE: "memory://", TOKENTAPE_SHUTDOWN_GRACE: "0s", ...settings },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let log = "";
  child.stderr!.on("data", (text) => (log += String(text)));
  const line = await new Promise<string>((resolve, reject) => {
    createInterface(child.stdout!).once("line", resolve);
    child.once("exit", () => reject(new Error(`the server ended: ${log}`)));
    child.once("error", reject);
  });
  child.stdout!.resume();
  const { url } = JSON.parse(line) as { url: string };
  return {
    url,
    async kill() {
      if (child.exitCode === null && child.signalCode === null) {
        const exited = once(child, "exit");
        child.kill("SIGKILL");
        await exited;
      }
    },
  };
}

/** What the network does to a connection: `head` is what the client sent first. */
export interface Weather {
  /** Bytes of the server's answers after which a connection is reset. */
  budget?: () => number;
  /** Whether to end a connection as soon as the client has said this. */
  refuse?: (head: string) => boolean;
  /** Whether to take the answers to this, and keep them. */
  swallow?: (head: string) => boolean;
}

export interface Network {
  readonly url: string;
  weather: Weather;
  readonly connections: number;
  /** Resets every connection. */
  cut(): void;
  close(): Promise<void>;
}

/** A relay to the server at `url`. */
export async function startNetwork(url: string): Promise<Network> {
  const target = Number(new URL(url).port);
  const links = new Set<Socket>();
  let connections = 0;
  const network: Network & { server: Server } = {
    server: createServer((client) => {
      connections += 1;
      const { budget, refuse, swallow } = network.weather;
      let left = budget?.() ?? Infinity;
      const upstream = connect(target, "127.0.0.1");
      for (const [socket, other] of [[client, upstream], [upstream, client]] as const) {
        links.add(socket);
        socket.on("error", () => other.destroy());
        socket.on("close", () => {
          links.delete(socket);
          other.destroy();
        });
      }
      let head: string | undefined;
      client.on("data", (data) => {
        head = data.toString("latin1");
        if (refuse?.(head)) client.resetAndDestroy();
        else upstream.write(data);
      });
      upstream.on("data", (data) => {
        if (head !== undefined && swallow?.(head)) return;
        client.write(data.subarray(0, left));
        left -= data.length;
        if (left <= 0) client.resetAndDestroy();
      });
    }),
    url: "",
    weather: {},
    get connections() {
      return connections;
    },
    cut() {
      for (const socket of [...links]) socket.resetAndDestroy();
    },
    async close() {
      network.cut();
      network.server.close();
      await once(network.server, "close");
    },
  };
  network.server.listen(0, "127.0.0.1");
  await once(network.server, "listening");
  return Object.assign(network, { url: `http://127.0.0.1:${(network.server.address() as AddressInfo).port}` });
}

/** Waits until something is so; fails after ten seconds. */
export async function until(check: () => unknown): Promise<void> {
  for (const end = Date.now() + 10_000; !check(); ) {
    if (Date.now() > end) throw new Error(`it never came to be that ${check}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
