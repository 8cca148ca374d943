/** The page's client, and what is noted of the runs that it shows. */

import { client as shared } from "../app/server.ts";
import { createNotes, withNotes } from "./notes.ts";

export const notes = createNotes();
export const client = withNotes(shared, notes);
