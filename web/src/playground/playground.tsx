export function Playground() {
  return <p>playground</p>;
}
