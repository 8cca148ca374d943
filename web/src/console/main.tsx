import { start } from "../app/start.tsx";
import { Console } from "./console.tsx";

start("console", <Console />);
