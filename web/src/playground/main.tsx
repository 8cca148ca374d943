import { start } from "../app/start.tsx";
import { Playground } from "./playground.tsx";

start("playground", <Playground />);
