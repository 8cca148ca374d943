/** What of the playground is shown on this device. */

import { createStored } from "./stored.ts";

/** Whether those who watch the chat's answers are shown beside it. */
export const watchersShown = createStored("tokentape.watchers", (value) => value !== false);
