/** A word that a browser keeps for us: in this tab, or on this device. Where it may keep nothing, it is gone with the page. */

/** Asked for late: where storage is forbidden, already looking at it throws. */
type Place = () => Storage;

export const IN_TAB: Place = () => sessionStorage;
export const ON_DEVICE: Place = () => localStorage;

export function readKept(place: Place, key: string): string | null {
  try {
    return place().getItem(key);
  } catch {
    return null;
  }
}

export function keep(place: Place, key: string, value: string): void {
  try {
    place().setItem(key, value);
  } catch {
    // It is there until the page is left.
  }
}
