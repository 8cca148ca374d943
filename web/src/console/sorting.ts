/** Orders of lists: one column, up or down, as `-tokens` in an address; rows that are equal keep a steady order. */

export interface Order {
  readonly column: string;
  readonly down: boolean;
}

export function parseOrder(text: string | undefined, columns: readonly string[], fallback: Order): Order {
  const down = text?.startsWith("-") ?? false;
  const column = down ? text!.slice(1) : text;
  return column && columns.includes(column) ? { column, down } : fallback;
}

export const orderText = ({ column, down }: Order): string => (down ? `-${column}` : column);

/** The next order when a column's head is pressed: numbers the largest first, then the other way round. */
export function turned(order: Order, column: string, downFirst: boolean): Order {
  return order.column === column ? { column, down: !order.down } : { column, down: downFirst };
}

/** Sorted by a value, then by the key, so that an update does not make rows jump. What has no value is last. */
export function sorted<T>(rows: readonly T[], down: boolean, value: (row: T) => string | number | null | undefined, key: (row: T) => string): T[] {
  return [...rows].sort((a, b) => {
    const [left, right] = [value(a), value(b)];
    if (left == null || right == null) return left == null && right == null ? compare(key(a), key(b)) : left == null ? 1 : -1;
    return (down ? -compare(left, right) : compare(left, right)) || compare(key(a), key(b));
  });
}

function compare(a: string | number, b: string | number): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
