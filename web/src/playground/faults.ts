/** Faults that the simulated model can be given, and what each of them shows. */

export const FAULTS = [
  { fault: "", label: "None", shows: "The answer comes at an even pace." },
  { fault: "stall@40:5s", label: "Stall", shows: "Stands still after 40 tokens for 5 s: the connection stays, and nobody loses anything." },
  { fault: "slow-start:5s", label: "Slow start", shows: "Says nothing for 5 s: the time to the first token grows, and the run can be stopped meanwhile." },
  { fault: "status:429x2", label: "Too busy, twice", shows: "Refuses twice with 429: the server tries again by itself, and says so." },
  { fault: "error@40", label: "Fails", shows: "Fails after 40 tokens: what came is kept, and the answer says why it ended." },
  { fault: "cut@40", label: "Cut off", shows: "The model's connection breaks after 40 tokens: that is an error, never a clean end." },
  { fault: "line-ends", label: "Odd line ends", shows: "Writes CR, U+0085 and U+2028 into the text: it comes through as it was." },
  { fault: "long-line@40", label: "100 MB line", shows: "Sends a line of 100 MB: the server stops reading, and says so." },
] as const;
