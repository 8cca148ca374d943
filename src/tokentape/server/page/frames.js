// Batches repaints: however many events arrive, the page is painted once per animation frame.

export function oncePerFrame(paint) {
  let scheduled = false;
  return () => {
    if (scheduled) return;
    scheduled = true;
    requestAnimationFrame(() => {
      scheduled = false;
      paint();
    });
  };
}
