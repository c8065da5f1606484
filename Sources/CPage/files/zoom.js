// A zoomable picture of any size: only visible tiles are fetched.
import { get, blob } from "./api.js";
import { make } from "./dom.js";

const maxTiles = 160;
const maxScale = 16;
const pause = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

export class Zoom {
  constructor(job) {
    this.job = job;
    this.tiles = new Map();
    this.pointers = new Map();
    this.stopped = new AbortController();
    this.canvas = make("canvas");
    this.wait = make("p", { className: "wait", role: "status" }, "Opening the picture");
    this.shown = make("output");
    const button = (label, text, work) => make("button", { ariaLabel: label, title: label, onclick: work }, text);
    this.element = make("div", { className: "field-of-view", tabIndex: 0, role: "img", ariaLabel: `${job.request.prompt}, ${job.width} by ${job.height} pixels` },
      this.canvas, this.wait, make("div", { className: "tools" },
        button("Zoom out", "−", () => this.zoom(0.5)), button("Zoom in", "+", () => this.zoom(2)),
        button("Fit", "Fit", () => this.fit()), button("Full size", "1:1", () => this.full()), this.shown));
  }

  async start() {
    this.resized = new ResizeObserver(() => this.resize());
    this.resized.observe(this.element);
    this.listen();
    try {
      for (;;) {
        const found = await get(`api/v1/jobs/${this.job.id}/tiles`);
        [this.side, this.levels] = [found.side, found.levels];
        if (found.ready) break;
        const share = Math.floor(found.share * 100);
        this.wait.textContent = `The picture is being prepared, once: ${share} %`;
        await pause(1);
        if (this.stopped.signal.aborted) return;
      }
      this.wait.remove();
      this.fit();
    } catch (error) { this.wait.textContent = error.message; }
  }

  close() {
    this.stopped.abort();
    this.resized?.disconnect();
    for (const tile of this.tiles.values()) tile.image?.close();
    this.tiles.clear();
  }

  resize() {
    const ratio = devicePixelRatio || 1;
    const wasFitted = this.isFitted;
    this.canvas.width = Math.round(this.element.clientWidth * ratio);
    this.canvas.height = Math.round(this.element.clientHeight * ratio);
    if (!this.levels) return;
    if (wasFitted) this.fit(); else this.draw();
  }

  // Scale: canvas pixels per picture pixel. Centre: in picture pixels.
  get least() { return Math.min(1, this.canvas.width / this.job.width, this.canvas.height / this.job.height); }
  fit() { this.set(this.least, this.job.width / 2, this.job.height / 2); this.isFitted = true; }
  full() { this.set(1, this.x ?? this.job.width / 2, this.y ?? this.job.height / 2); }

  set(scale, x, y) {
    if (!this.levels) return;
    this.scale = Math.min(maxScale, Math.max(this.least, scale));
    const hold = (value, length, seen) => seen >= length ? length / 2 : Math.min(length - seen / 2, Math.max(seen / 2, value));
    this.x = hold(x, this.job.width, this.canvas.width / this.scale);
    this.y = hold(y, this.job.height, this.canvas.height / this.scale);
    this.isFitted = false;
    this.draw();
  }

  // Zooms so that the point under a canvas position stays there.
  zoom(factor, at = [this.canvas.width / 2, this.canvas.height / 2]) {
    if (!this.levels) return;
    const [dx, dy] = [at[0] - this.canvas.width / 2, at[1] - this.canvas.height / 2];
    const scale = Math.min(maxScale, Math.max(this.least, this.scale * factor));
    this.set(scale, this.x + dx / this.scale - dx / scale, this.y + dy / this.scale - dy / scale);
  }

  move(dx, dy) { if (this.levels) this.set(this.scale, this.x - dx / this.scale, this.y - dy / this.scale); }

  draw() {
    if (this.isDue) return;
    this.isDue = true;
    requestAnimationFrame(() => { this.isDue = false; if (!this.stopped.signal.aborted) this.paint(); });
  }

  // From the smallest level up: tiles that have not arrived yet appear blurred.
  paint() {
    const context = this.canvas.getContext("2d");
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    context.imageSmoothingEnabled = this.scale < 3;
    context.imageSmoothingQuality = "high";
    const top = this.levels.length - 1;
    const wanted = Math.max(0, Math.min(top, top + Math.ceil(Math.log2(this.scale) - 0.25)));
    for (let level = 0; level <= wanted; level += 1) this.paintLevel(context, level, level === wanted || level === 0);
    this.shown.textContent = `${Math.round(this.scale * 100)} %`;
    this.element.dataset.level = wanted;
    this.trim();
  }

  paintLevel(context, level, isFetched) {
    const [width, height] = this.levels[level];
    const unit = this.job.width / width;
    const left = this.x - this.canvas.width / 2 / this.scale;
    const upper = this.y - this.canvas.height / 2 / this.scale;
    const cover = this.side * unit;
    const last = (length) => Math.ceil(length / this.side) - 1;
    const range = (from, seen, count) => [Math.max(0, Math.floor(from / cover)), Math.min(count, Math.floor((from + seen) / cover))];
    const [c0, c1] = range(left, this.canvas.width / this.scale, last(width));
    const [r0, r1] = range(upper, this.canvas.height / this.scale, last(height));
    for (let row = r0; row <= r1; row += 1) {
      for (let column = c0; column <= c1; column += 1) {
        const tile = this.tile(level, row, column, isFetched);
        if (!tile?.image) continue;
        tile.used = performance.now();
        const x = Math.round((column * cover - left) * this.scale);
        const y = Math.round((row * cover - upper) * this.scale);
        const toX = Math.round((column * cover + tile.image.width * unit - left) * this.scale);
        const toY = Math.round((row * cover + tile.image.height * unit - upper) * this.scale);
        context.drawImage(tile.image, x, y, toX - x, toY - y);
      }
    }
  }

  tile(level, row, column, isFetched) {
    const name = `${level}/${row}/${column}`;
    const known = this.tiles.get(name);
    if (known || !isFetched) return known;
    const tile = { image: null, level, used: performance.now() };
    this.tiles.set(name, tile);
    blob(`api/v1/jobs/${this.job.id}/tiles/${name}`, { signal: this.stopped.signal })
      .then(createImageBitmap)
      .then((image) => { tile.image = image; this.draw(); })
      .catch(async () => {
        // Requested again a little later, if still visible.
        await pause(1);
        this.tiles.delete(name);
        if (!this.stopped.signal.aborted) this.draw();
      });
    return tile;
  }

  trim() {
    if (this.tiles.size <= maxTiles) return;
    const old = [...this.tiles].filter(([, tile]) => tile.image && tile.level > 0).sort(([, a], [, b]) => a.used - b.used);
    for (const [name, tile] of old.slice(0, this.tiles.size - maxTiles)) {
      tile.image.close();
      this.tiles.delete(name);
    }
  }

  place(event) {
    const box = this.element.getBoundingClientRect();
    const ratio = devicePixelRatio || 1;
    return [(event.clientX - box.left) * ratio, (event.clientY - box.top) * ratio];
  }

  listen() {
    const on = (kind, work) => this.element.addEventListener(kind, work, { passive: false });
    on("wheel", (event) => { event.preventDefault(); this.zoom(2 ** (-event.deltaY / 240), this.place(event)); });
    on("dblclick", (event) => { if (!event.target.closest(".tools")) this.zoom(2, this.place(event)); });
    on("pointerdown", (event) => {
      if (event.target.closest(".tools")) return;
      this.element.setPointerCapture(event.pointerId);
      this.pointers.set(event.pointerId, this.place(event));
    });
    on("pointermove", (event) => {
      const before = this.pointers.get(event.pointerId);
      if (!before) return;
      const now = this.place(event);
      const other = [...this.pointers].find(([id]) => id !== event.pointerId)?.[1];
      this.pointers.set(event.pointerId, now);
      if (!other) return this.move(now[0] - before[0], now[1] - before[1]);
      const apart = (a) => Math.hypot(a[0] - other[0], a[1] - other[1]) || 1;
      this.move((now[0] - before[0]) / 2, (now[1] - before[1]) / 2);
      this.zoom(apart(now) / apart(before), [(now[0] + other[0]) / 2, (now[1] + other[1]) / 2]);
    });
    for (const kind of ["pointerup", "pointercancel"]) on(kind, (event) => this.pointers.delete(event.pointerId));
    const step = () => Math.min(this.canvas.width, this.canvas.height) / 6;
    const keys = {
      "+": () => this.zoom(2), "=": () => this.zoom(2), "-": () => this.zoom(0.5), "0": () => this.fit(), "1": () => this.full(),
      ArrowLeft: () => this.move(step(), 0), ArrowRight: () => this.move(-step(), 0),
      ArrowUp: () => this.move(0, step()), ArrowDown: () => this.move(0, -step()),
    };
    on("keydown", (event) => {
      if (!keys[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      keys[event.key]();
    });
  }
}
