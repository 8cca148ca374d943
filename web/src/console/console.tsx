export function Console() {
  return <p>console</p>;
}
