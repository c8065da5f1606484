// Windows and lattices of the current step, drawn over the picture in the colours of their workers.

const colours = ["#e3b04b", "#53c2b7", "#86abe6", "#e5836a", "#ad97e0", "#9bc766", "#e68fb9", "#6cc3e4"];
export const colour = (index) => colours[index % colours.length];
const [asked, answered] = [1, 2];

// A lattice view is every nth point: dots show where the worker looks.
function drawLattice(context, [row, column, rowStride, columnStride, worker], { width, height }, x, y) {
  context.fillStyle = colour(worker);
  // No more dots than can be told apart.
  const skip = Math.max(1, Math.ceil(Math.max(height / rowStride, width / columnStride) / 64));
  const dot = Math.max(1.5, Math.min(x, y) * 0.6);
  for (let i = row; i < height; i += rowStride * skip) {
    for (let j = column; j < width; j += columnStride * skip) context.fillRect(j * x, i * y, dot, dot);
  }
}

export function draw(canvas, views) {
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, canvas.width, canvas.height);
  if (!views.width) return;
  const [x, y] = [canvas.width / views.width, canvas.height / views.height];
  const box = ([top, left, height, width]) => [left * x, top * y, width * x, height * y];
  context.globalAlpha = 0.1;
  for (const view of views.windows) {
    if (view[5] !== answered) continue;
    context.fillStyle = colour(view[4]);
    context.fillRect(...box(view));
  }
  context.globalAlpha = 0.55;
  for (const view of views.lattices) if (view[5] === asked) drawLattice(context, view, views, x, y);
  context.globalAlpha = 1;
  context.lineWidth = Math.max(2, canvas.width / 400);
  for (const view of views.windows) {
    if (view[5] !== asked) continue;
    const [left, top, width, height] = box(view);
    const inset = context.lineWidth / 2;
    context.strokeStyle = colour(view[4]);
    context.strokeRect(left + inset, top + inset, width - 2 * inset, height - 2 * inset);
  }
}
