/** When bytes came to one watcher, and what happened to its connection: bounded, however long it goes on. */

/** Columns at most; beyond, two become one. */
const MAX_COLUMNS = 480;
const MAX_MARKS = 200;
/** Milliseconds of a column at first. */
const FINEST = 50;

export interface Mark {
  /** Milliseconds since the story began. */
  at: number;
  kind: "cut" | "lost" | "tried" | "resumed" | "joined" | "ended";
  /** For people: a cursor, a count. */
  text: string;
}

export interface Story {
  /** Bytes of each column, from the beginning on. */
  readonly columns: readonly number[];
  /** Milliseconds of one column. */
  readonly width: number;
  readonly marks: readonly Mark[];
  /** When something last happened. */
  readonly last: number;
  came(bytes: number): void;
  mark(kind: Mark["kind"], text: string): void;
}

/** `now` is in milliseconds since the story began, and is the same clock for all that are shown together. */
export function createStory(now: () => number): Story {
  let columns: number[] = [];
  const marks: Mark[] = [];
  const story = {
    get columns() {
      return columns;
    },
    width: FINEST,
    marks,
    last: 0,
    came(bytes: number): void {
      story.last = now();
      while (story.last / story.width >= MAX_COLUMNS) {
        columns = Array.from({ length: Math.ceil(columns.length / 2) }, (_, index) => (columns[2 * index] ?? 0) + (columns[2 * index + 1] ?? 0));
        story.width *= 2;
      }
      const column = Math.floor(story.last / story.width);
      while (columns.length <= column) columns.push(0);
      columns[column]! += bytes;
    },
    mark(kind: Mark["kind"], text: string): void {
      story.last = now();
      // What an attempt without success says is in the last one, too.
      if (marks.length >= MAX_MARKS) marks.splice(1, 1);
      marks.push({ at: story.last, kind, text });
    },
  };
  return story;
}
