"use strict";
// The picture: regions as polygons on a canvas. Affine maps are worked out from weights and pattern, in doubles.
const polyfiber = { ready: null };
(() => {
  const el = (id) => document.getElementById(id);
  const told = JSON.parse(el("told").textContent);
  const canvas = el("plane"), ctx = canvas.getContext("2d"), panel = el("panel"), legend = el("legend");
  const plane = told.kind === "plane";
  const TYPES = { u1: Uint8Array, u2: Uint16Array, u4: Uint32Array, f4: Float32Array, f8: Float64Array };
  const col = {};
  let regions, parts, ties, grid, G; // convex polygons, lookup of regions
  const state = { x: 0, y: 0, zoom: 1, colour: "none", hover: -1, kept: -1, walls: new Set(told.groups.map((_, k) => k)), boundary: true, points: true };
  let width = 0, height = 0, pending = 0;

  async function load() {
    const text = atob(el("columns").textContent.trim());
    const raw = new Uint8Array(text.length);
    for (let i = 0; i < raw.length; i++) raw[i] = text.charCodeAt(i);
    const stream = new Blob([raw]).stream().pipeThrough(new DecompressionStream("deflate"));
    const buffer = await new Response(stream).arrayBuffer();
    for (const c of told.columns) col[c.name] = new TYPES[c.type](buffer, c.offset, c.length);
    if (plane) prepare();
    const choose = el("colour");
    if (choose) {
      state.colour = choose.value;
      choose.addEventListener("change", () => { state.colour = choose.value; showLegend(); repaint(); });
    }
    showLegend();
    listen();
    resize();
    new ResizeObserver(resize).observe(canvas);
  }

  function cells(vertex, sizes, index) { // convex polygons: corners of each (of an index, or one after the other), extents
    const n = sizes.length, start = new Uint32Array(n + 1), boxes = new Float32Array(4 * n);
    for (let i = 0; i < n; i++) {
      const to = start[i + 1] = start[i] + sizes[i];
      let a = Infinity, b = Infinity, c = -Infinity, d = -Infinity;
      for (let k = start[i]; k < to; k++) {
        const p = 2 * (index ? index[k] : k), x = vertex[p], y = vertex[p + 1];
        if (x < a) a = x; if (x > c) c = x; if (y < b) b = y; if (y > d) d = y;
      }
      boxes[4 * i] = a; boxes[4 * i + 1] = b; boxes[4 * i + 2] = c; boxes[4 * i + 3] = d;
    }
    return { vertex, index, start, boxes, n };
  }
  function prepare() {
    regions = cells(col.vertex, col.corners, col.corner);
    if (col.part) parts = cells(col.part, col.partSize);
    if (col.tie) ties = cells(col.tie, col.tieSize);
    const { n, boxes } = regions;
    G = Math.max(1, Math.min(400, Math.ceil(Math.sqrt(n))));
    grid = Array.from({ length: G * G }, () => []);
    for (let i = 0; i < n; i++) {
      const right = cell(boxes[4 * i + 2]), top = cell(boxes[4 * i + 3]), low = cell(boxes[4 * i + 1]);
      for (let p = cell(boxes[4 * i]); p <= right; p++) for (let q = low; q <= top; q++) grid[p * G + q].push(i);
    }
  }
  const cell = (u) => Math.max(0, Math.min(G - 1, Math.floor(u * G)));

  function inside(i, x, y) { // closed convex polygon, either orientation, a hair wide
    const { start } = regions;
    let sign = 0;
    for (let k = start[i], m = start[i + 1]; k < m; k++) {
      const p = 2 * col.corner[k], q = 2 * col.corner[k + 1 < m ? k + 1 : start[i]], v = col.vertex;
      const turn = (v[q] - v[p]) * (y - v[p + 1]) - (v[q + 1] - v[p + 1]) * (x - v[p]);
      if (Math.abs(turn) > 1e-9) { if (sign * turn < 0) return false; sign = turn; }
    }
    return true;
  }

  function regionAt(u, v) {
    if (!plane) {
      const x = toWorld(u, v)[0];
      let lo = 0, hi = told.regions - 1;
      if (x < col.x[0] || x > col.x[told.regions]) return -1;
      while (lo < hi) { const mid = (lo + hi + 1) >> 1; if (col.x[mid] <= x) lo = mid; else hi = mid - 1; }
      return lo;
    }
    if (u < 0 || v < 0 || u > 1 || v > 1) return -1;
    for (const i of grid[cell(u) * G + cell(v)]) if (inside(i, u, v)) return i;
    return -1;
  }

  function bit(column, i, j) {
    const row = Math.ceil(told.hidden / 8);
    return column ? (column[i * row + (j >> 3)] >> (j & 7)) & 1 : 0;
  }

  function patternOf(i) { // one text a layer: + active, − not, 0 vanishing on the region
    const out = []; let j = 0;
    for (const w of told.widths.slice(1, -1)) {
      let text = "";
      for (let k = 0; k < w; k++, j++) text += bit(col.vanishing, i, j) ? "0" : bit(col.active, i, j) ? "+" : "−";
      out.push(text);
    }
    return out;
  }

  function mapOf(i) { // f(x) = A x + a on region i
    const n0 = told.widths[0], step = n0 + 1;
    let M = new Float64Array(n0 * step), at = 0, bat = 0, j = 0;
    for (let k = 0; k < n0; k++) M[k * step + k] = 1;
    for (let l = 1; l < told.widths.length; l++) {
      const rows = told.widths[l], inner = told.widths[l - 1], next = new Float64Array(rows * step);
      for (let r = 0; r < rows; r++, at += inner, bat++) {
        if (l < told.widths.length - 1 && !bit(col.active, i, j++)) continue;
        for (let c = 0; c < step; c++) {
          let s = c === n0 ? col.biases[bat] : 0;
          for (let k = 0; k < inner; k++) s += col.weights[at + k] * M[k * step + c];
          next[r * step + c] = s;
        }
      }
      M = next;
    }
    return M;
  }

  // ---- where things are on the screen ------------------------------------------------------------------------------
  const margin = { left: 52, right: 10, top: 10, bottom: 34 };
  function fit() {
    const w = Math.max(40, width - margin.left - margin.right), h = Math.max(40, height - margin.top - margin.bottom);
    const dx = told.high[0] - told.low[0], dy = told.high[1] - told.low[1] || 1, ratio = dx / dy;
    if (plane && ratio > 0.25 && ratio < 4) {
      const s = Math.min(w / dx, h / dy);
      return { w: s * dx, h: s * dy, left: margin.left + (w - s * dx) / 2, top: margin.top + (h - s * dy) / 2 };
    }
    return { w, h, left: margin.left, top: margin.top };
  }
  const X = (f, u) => f.left + (u - state.x) * f.w * state.zoom;
  const Y = (f, v) => f.top + f.h - (v - state.y) * f.h * state.zoom;
  const toUnit = (px, py) => { const f = fit(); return [state.x + (px - f.left) / (f.w * state.zoom), state.y + (f.top + f.h - py) / (f.h * state.zoom)]; };
  const toWorld = (u, v) => [told.low[0] + u * (told.high[0] - told.low[0]), told.low[1] + v * (told.high[1] - told.low[1])];

  // ---- painting ----------------------------------------------------------------------------------------------------
  function dark() {
    const t = document.documentElement.dataset.theme;
    return t ? t === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  }
  const look = () => told.palette[dark() ? "dark" : "light"];
  function ground(t) { // between the nine colours of the ground
    const g = look().ground, s = Math.max(0, Math.min(1, t)) * (g.length - 1), k = Math.min(g.length - 2, Math.floor(s)), f = s - k;
    const part = (h, c) => parseInt(h.slice(1 + 2 * c, 3 + 2 * c), 16);
    return "rgb(" + [0, 1, 2].map((c) => Math.round(part(g[k], c) * (1 - f) + part(g[k + 1], c) * f)).join(",") + ")";
  }
  function shades() { // the column of shades and what a shade looks like
    const now = look();
    if (state.colour === "none") return [null, () => now.paper];
    if (state.colour === "class") return [col.owner, (s) => (s === 255 ? now.paper : now.classes[s % now.classes.length])];
    if (state.colour === "layer") return [col.rim, (s) => ground(s / Math.max(1, told.groups.length))];
    return [col[state.colour], (s) => ground(s / 255)];
  }

  // A painting is made in slices: it gives way every few hundred strokes, and goes on in the next frame.
  function* paint(c, f) {
    const kx = f.w * state.zoom, ky = f.h * state.zoom;
    const place = { c, kx, ky, ox: f.left - state.x * kx, oy: f.top + f.h + state.y * ky, image: null };
    c.fillStyle = look().paper;
    c.fillRect(0, 0, width, height);
    c.save();
    c.beginPath(); c.rect(...frame()); c.clip();
    yield* plane ? paintPlane(place) : paintLine(place);
    c.restore();
  }
  const frame = () => [margin.left, margin.top, width - margin.left - margin.right, height - margin.top - margin.bottom];
  function seen(place) { // what of the unit square is on the screen
    return [-place.ox / place.kx, (place.oy - height) / place.ky, (width - place.ox) / place.kx, place.oy / place.ky];
  }

  // Polygons are filled by this page and not by paths of the canvas: Chromium leaves holes in a path with a tiny edge.
  function* fill(place, { vertex, index, start, boxes, n }, of, shade) {
    const [left, low, right, high] = seen(place);
    for (let i = 0; i < n; i++) {
      if (boxes[4 * i] > right || boxes[4 * i + 2] < left || boxes[4 * i + 1] > high || boxes[4 * i + 3] < low) continue;
      raster(place, vertex, index, start[i], start[i + 1], packed(shade(of ? of[i] : 0)));
      if ((i & 511) === 0) yield;
    }
  }
  const pixel = new Map();
  function packed(text) { // a colour as the four bytes of a pixel
    if (!pixel.has(text)) {
      const [r, g, b] = text[0] === "#" ? [1, 3, 5].map((k) => parseInt(text.slice(k, k + 2), 16)) : text.match(/\d+/g).map(Number);
      pixel.set(text, new Uint32Array(Uint8Array.of(r, g, b, 255).buffer)[0]);
    }
    return pixel.get(text);
  }
  function raster({ image, kx, ky, ox, oy }, vertex, index, from, to, colour) { // pixels whose middle is inside
    const { ratio, left, top, columns, rows, first, last, pixels } = image;
    let y0 = rows, y1 = -1;
    const X = (k) => (ox + vertex[2 * (index ? index[k] : k)] * kx) * ratio - left - 0.5;
    const Y = (k) => (oy - vertex[2 * (index ? index[k] : k) + 1] * ky) * ratio - top - 0.5;
    let px = X(to - 1), py = Y(to - 1);
    for (let k = from; k < to; k++) {
      const qx = X(k), qy = Y(k), a = Math.max(0, Math.ceil(Math.min(py, qy))), b = Math.min(rows, Math.ceil(Math.max(py, qy)));
      const slope = (qx - px) / (qy - py), up = py < qy, fx = up ? px : qx, fy = up ? py : qy; // from the upper end: both sides of an edge agree
      for (let y = a; y < b; y++) {
        const x = fx + (y - fy) * slope;
        if (x < first[y]) first[y] = x;
        if (x > last[y]) last[y] = x;
      }
      if (a < b) { if (a < y0) y0 = a; if (b > y1) y1 = b; }
      px = qx; py = qy;
    }
    for (let y = y0; y < y1; y++) {
      const a = Math.max(0, Math.ceil(first[y])), b = Math.min(columns, Math.ceil(last[y]));
      if (a < b) pixels.fill(colour, y * columns + a, y * columns + b);
      first[y] = Infinity; last[y] = -Infinity;
    }
  }
  function pixelsOf(ratio) {
    const [x, y, w, h] = frame().map((v) => Math.round(v * ratio)), data = new ImageData(w, h), pixels = new Uint32Array(data.data.buffer);
    pixels.fill(packed(look().paper));
    return { ratio, left: x, top: y, columns: w, rows: h, first: new Float64Array(h).fill(Infinity), last: new Float64Array(h).fill(-Infinity), pixels, data };
  }
  function* lines(place, ends, wanted) { // segments (x, y, x, y), a few in each path
    const { c, kx, ky, ox, oy } = place, [left, low, right, high] = seen(place);
    let open = 0;
    c.beginPath();
    for (let e = 0, n = ends.n; e < n; e++) {
      if (!wanted(e)) continue;
      const v = ends.vertex, p = 2 * (ends.index ? ends.index[2 * e] : 2 * e), q = 2 * (ends.index ? ends.index[2 * e + 1] : 2 * e + 1);
      const x = v[p], y = v[p + 1], s = v[q], t = v[q + 1];
      if ((x < left && s < left) || (x > right && s > right) || (y < low && t < low) || (y > high && t > high)) continue;
      c.moveTo(ox + x * kx, oy - y * ky); c.lineTo(ox + s * kx, oy - t * ky);
      if (++open === 256) { c.stroke(); c.beginPath(); open = 0; yield; }
    }
    c.stroke();
    yield;
  }

  function* paintPlane(place) {
    const c = place.c, [left, low, right, high] = seen(place), { boxes, n } = regions, [of, shade] = shades(), now = look();
    let visible = 0;
    for (let i = 0; i < n; i++) if (boxes[4 * i] < right && boxes[4 * i + 2] > left && boxes[4 * i + 1] < high && boxes[4 * i + 3] > low) visible++;
    place.image = pixelsOf(devicePixelRatio || 1);
    if (of) yield* fill(place, regions, of, shade);
    if (state.colour === "class") {
      yield* fill(place, parts, col.partClass, (s) => now.classes[s % now.classes.length]);
      if (ties) yield* fill(place, ties, null, () => now.tie);
    }
    c.putImageData(place.image.data, place.image.left, place.image.top);
    yield;
    for (const g of state.walls) {
      c.strokeStyle = now.walls[g % now.walls.length];
      c.lineWidth = Math.max(0.5, 1.2 - 0.25 * g) * (visible > 10000 ? 0.5 : 1);
      yield* lines(place, { vertex: col.vertex, index: col.edge, n: col.edgeGroups.length }, (e) => (col.edgeGroups[e] >>> Math.min(g, 31)) & 1);
    }
    if (state.boundary && col.boundary) {
      c.strokeStyle = now.boundary; c.lineWidth = 3; c.lineCap = "round";
      yield* lines(place, { vertex: col.boundary, n: col.boundary.length / 4 }, () => true);
    }
    if (state.points && col.point) {
      c.lineWidth = 1.5; c.strokeStyle = now.boundary;
      for (let p = 0; p < col.pointLabel.length; p++) {
        c.beginPath(); c.arc(place.ox + col.point[2 * p] * place.kx, place.oy - col.point[2 * p + 1] * place.ky, 4, 0, 7);
        c.fillStyle = now.classes[col.pointLabel[p] % now.classes.length]; c.fill(); c.stroke();
        if ((p & 255) === 0) yield;
      }
    }
  }

  function* paintLine(place) {
    const { c, kx, ky, ox, oy } = place, m = told.widths[told.widths.length - 1], n = told.regions + 1, colours = look().walls;
    const x = (k) => ox + ((col.x[k] - told.low[0]) / (told.high[0] - told.low[0])) * kx;
    const y = (k, o) => oy - ((col.y[k * m + o] - told.low[1]) / (told.high[1] - told.low[1] || 1)) * ky;
    let from = 0, to = n;
    while (from < n - 2 && x(from + 1) < 0) from++;
    while (to > from + 2 && x(to - 2) > width) to--;
    for (let o = 0; o < m; o++) {
      c.beginPath(); c.strokeStyle = c.fillStyle = colours[o % colours.length]; c.lineWidth = 2; c.setLineDash(o < 6 ? [] : [6, 3]);
      for (let k = from; k < to; k++) {
        c[k > from ? "lineTo" : "moveTo"](x(k), y(k, o));
        if (k % 256 === 255) { c.stroke(); yield; c.beginPath(); c.moveTo(x(k), y(k, o)); }
      }
      c.stroke(); c.setLineDash([]);
      if (to - from > width / 3) continue; // dots would hide the line
      for (let k = Math.max(1, from); k < Math.min(n - 1, to); k++) { c.beginPath(); c.arc(x(k), y(k, o), 3, 0, 7); c.fill(); }
    }
  }

  const say = (x) => (!Number.isFinite(x) ? "beyond floats" : x === 0 ? "0" : Math.abs(x) < 1e-3 || Math.abs(x) >= 1e5 ? x.toExponential(2) : String(+x.toPrecision(4)));
  function ticks(c, f) {
    c.fillStyle = c.strokeStyle = look().ink; c.lineWidth = 1; c.font = "12px system-ui, 'DejaVu Sans', sans-serif";
    c.strokeRect(...frame());
    const bottom = height - margin.bottom, step = (a, b, most) => {
      const s = (b - a) / most, p = Math.pow(10, Math.floor(Math.log10(s)));
      const t = [1, 2, 5, 10].map((k) => k * p).find((u) => u >= s) || 10 * p;
      return Math.floor(b / t) > Math.ceil(a / t) ? t : t / 2; // one tick has no scale
    };
    const [x0, y0] = toWorld(...toUnit(margin.left, bottom)), [x1, y1] = toWorld(...toUnit(width - margin.right, margin.top));
    const sx = step(x0, x1, width < 500 ? 3 : 6), sy = step(y0, y1, 5);
    c.textAlign = "center"; c.textBaseline = "top";
    for (let k = Math.ceil(x0 / sx); k * sx <= x1; k++) {
      const px = X(f, (k * sx - told.low[0]) / (told.high[0] - told.low[0]));
      if (px < margin.left + 14 || px > width - margin.right - 14) continue;
      c.beginPath(); c.moveTo(px, bottom); c.lineTo(px, bottom + 4); c.stroke(); c.fillText(say(k * sx), px, bottom + 6);
    }
    c.textAlign = "right"; c.textBaseline = "middle";
    for (let k = Math.ceil(y0 / sy); k * sy <= y1; k++) {
      const py = Y(f, (k * sy - told.low[1]) / (told.high[1] - told.low[1] || 1));
      if (py < margin.top + 8 || py > bottom - 8) continue;
      c.beginPath(); c.moveTo(margin.left - 4, py); c.lineTo(margin.left, py); c.stroke(); c.fillText(say(k * sy), margin.left - 6, py);
    }
    const name = (text, x, y) => {
      const w = Math.min(c.measureText(text).width, width / 2);
      c.fillStyle = look().paper; c.fillRect(x < 0 ? width + x - w - 3 : x - 3, y - 8, w + 6, 16);
      c.fillStyle = look().ink; c.textBaseline = "middle"; c.textAlign = "left"; c.fillText(text, x < 0 ? width + x - w : x, y, w);
    };
    name(told.labels[0], -margin.right - 6, bottom - 11);
    name(told.labels[1], margin.left + 6, margin.top + 11);
  }

  function outline(c) { // the region that is pointed at, or kept
    const i = state.kept >= 0 ? state.kept : state.hover, f = fit();
    if (i < 0) return;
    c.save();
    c.beginPath(); c.rect(...frame()); c.clip();
    c.beginPath();
    if (plane) {
      const { start } = regions;
      for (let k = start[i]; k < start[i + 1]; k++) {
        const p = 2 * col.corner[k];
        c[k > start[i] ? "lineTo" : "moveTo"](X(f, col.vertex[p]), Y(f, col.vertex[p + 1]));
      }
      c.closePath();
    } else {
      const u = (x) => X(f, (x - told.low[0]) / (told.high[0] - told.low[0]));
      c.rect(u(col.x[i]), margin.top, u(col.x[i + 1]) - u(col.x[i]), height);
    }
    c.lineWidth = 5; c.strokeStyle = look().paper; c.stroke(); c.lineWidth = 2.5; c.strokeStyle = look().boundary; c.setLineDash([6, 4]); c.stroke();
    c.restore();
  }

  // What is shown is the last whole painting, moved along, while the next one is made; the first is shown as it grows.
  const SLICE = 8; // milliseconds of painting in a frame
  let done = null, job = null, stale = true;
  function begin() {
    const made = document.createElement("canvas"), c = made.getContext("2d", { willReadFrequently: true }), ratio = devicePixelRatio || 1;
    made.width = canvas.width; made.height = canvas.height;
    c.setTransform(ratio, 0, 0, ratio, 0, 0);
    stale = false;
    return { made, view: { x: state.x, y: state.y, zoom: state.zoom }, steps: paint(c, fit()) };
  }
  function advance() {
    const end = performance.now() + SLICE;
    while (performance.now() < end) if (job.steps.next().done) {
      polyfiber.paintings = (polyfiber.paintings || 0) + 1;
      done = job; job = null;
      return;
    }
  }
  function show() {
    pending = 0;
    const ratio = devicePixelRatio || 1, f = fit(), here = (a) => a && a.view.x === state.x && a.view.y === state.y && a.view.zoom === state.zoom;
    if (!job && (stale || !here(done))) job = begin();
    if (job) advance();
    const { made, view } = done || job, k = state.zoom / view.zoom;
    ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
    ctx.fillStyle = look().paper; ctx.fillRect(0, 0, width, height);
    ctx.save(); ctx.beginPath(); ctx.rect(...frame()); ctx.clip();
    const dx = f.left + (view.x - state.x) * f.w * state.zoom - k * f.left, dy = f.top + f.h - (view.y - state.y) * f.h * state.zoom - k * (f.top + f.h);
    ctx.drawImage(made, dx, dy, k * width, k * height);
    ctx.restore();
    ticks(ctx, f);
    outline(ctx);
    if (job || !here(done)) draw();
  }
  const draw = () => { if (!pending) pending = requestAnimationFrame(show); };
  function repaint() { job = null; stale = true; draw(); }
  async function settled() { do await new Promise(requestAnimationFrame); while (pending); }
  function resize() {
    const r = canvas.getBoundingClientRect(), ratio = devicePixelRatio || 1, w = Math.round(r.width * ratio), h = Math.round(r.height * ratio);
    if (!r.width || (canvas.width === w && canvas.height === h && width === r.width)) return;
    width = r.width; height = r.height; canvas.width = w; canvas.height = h;
    done = null; repaint();
  }

  // ---- words -------------------------------------------------------------------------------------------------------
  function add(parent, tag, text, className) {
    const e = document.createElement(tag);
    if (text !== undefined) e.textContent = text;
    if (className) e.className = className;
    parent.append(e);
    return e;
  }
  function showLegend() {
    legend.replaceChildren();
    const colours = look();
    const chip = (colour, text) => { const s = add(legend, "span"); add(s, "span", "", "swatch").style.background = colour; s.append(text); };
    if (state.colour === "class") for (const s of told.seen) chip(colours.classes[s % colours.classes.length], `class ${s}`);
    if (state.colour === "class" && told.ties) chip(colours.tie, "tie");
    const scale = told.colours.find((c) => c.column === state.colour);
    if (scale || state.colour === "layer") {
      add(legend, "span", scale ? say(scale.low) : "none");
      add(legend, "span", "", "bar").style.background = `linear-gradient(90deg, ${colours.ground.join(",")})`;
      add(legend, "span", scale ? `${say(scale.high)}: ${scale.text}` : `layer ${told.groups.length}`);
    }
    if (plane) told.groups.forEach((g, k) => chip(colours.walls[k % colours.walls.length], `walls of ${g}`));
    else for (let o = 0; o < told.widths[told.widths.length - 1]; o++) chip(colours.walls[o % colours.walls.length], `output ${o}`);
  }
  function describe(i, at) {
    panel.replaceChildren();
    add(panel, "p").append(add(panel, "strong", `Region ${i}` + (state.kept >= 0 ? " (kept; Escape lets go)" : "")));
    patternOf(i).forEach((t, k) => { const p = add(panel, "p", `layer ${k + 1}: `); add(p, "code", t); });
    if (plane) add(panel, "p", `area ${say(col.area[i])}`);
    else add(panel, "p", `from ${say(col.x[i])} to ${say(col.x[i + 1])}`);
    if (plane && told.classes) add(panel, "p", col.owner[i] === 255 ? "the class changes inside" : `class ${col.owner[i]}`);
    if (!told.maps) return;
    const M = mapOf(i), n0 = told.widths[0], m = told.widths[told.widths.length - 1];
    polyfiber.map = M;
    for (let o = 0; o < Math.min(m, 20); o++) {
      let text = `f${m > 1 ? o : ""} = `;
      for (let k = 0; k < n0; k++) text += `${k ? (M[o * (n0 + 1) + k] < 0 ? " − " : " + ") : M[o * (n0 + 1) + k] < 0 ? "−" : ""}${say(Math.abs(M[o * (n0 + 1) + k]))} x${k}`;
      const c = M[o * (n0 + 1) + n0];
      add(add(panel, "p"), "code", text + (c < 0 ? " − " : " + ") + say(Math.abs(c)));
    }
    if (m > 20) add(panel, "p", `… ${m - 20} more outputs`);
    if (at) add(panel, "p", `at (${at.map(say).join(", ")})`);
  }
  function point(i, at) {
    if (state.kept >= 0 || i === state.hover) return;
    state.hover = i;
    if (i >= 0) describe(i, at);
    draw();
  }
  function keep(i) {
    state.kept = i;
    if (i >= 0) describe(i);
    draw();
  }

  // ---- hands -------------------------------------------------------------------------------------------------------
  function move(dx, dy) { const f = fit(); state.x -= dx / (f.w * state.zoom); state.y += dy / (f.h * state.zoom); draw(); }
  function zoomAt(px, py, k) {
    const [u, v] = toUnit(px, py), f = fit();
    state.zoom = Math.max(0.5, Math.min(5000, state.zoom * k));
    state.x = u - (px - f.left) / (f.w * state.zoom);
    state.y = v - (f.top + f.h - py) / (f.h * state.zoom);
    draw();
  }
  function home() { state.x = state.y = 0; state.zoom = 1; draw(); }
  function listen() {
    const hands = new Map();
    let travelled = 0;
    const place = (e) => { const r = canvas.getBoundingClientRect(); return [e.clientX - r.left, e.clientY - r.top]; };
    canvas.addEventListener("pointerdown", (e) => { canvas.setPointerCapture(e.pointerId); hands.set(e.pointerId, place(e)); travelled = 0; });
    canvas.addEventListener("pointermove", (e) => {
      const now = place(e), was = hands.get(e.pointerId);
      if (was && hands.size === 1) { travelled += Math.abs(now[0] - was[0]) + Math.abs(now[1] - was[1]); move(now[0] - was[0], now[1] - was[1]); }
      if (was && hands.size === 2) {
        const other = [...hands.entries()].find(([id]) => id !== e.pointerId)[1], far = (p) => Math.hypot(p[0] - other[0], p[1] - other[1]);
        travelled += 9; zoomAt(other[0], other[1], far(now) / Math.max(1, far(was)));
      }
      if (was) hands.set(e.pointerId, now);
      else { const unit = toUnit(...now); point(regionAt(...unit), plane ? toWorld(...unit) : undefined); }
    });
    const up = (e) => {
      if (hands.delete(e.pointerId) && travelled < 6 && e.type === "pointerup") { const i = regionAt(...toUnit(...place(e))); keep(state.kept === i ? -1 : i); }
    };
    canvas.addEventListener("pointerup", up);
    canvas.addEventListener("pointercancel", up);
    canvas.addEventListener("pointerleave", () => point(-1));
    canvas.addEventListener("wheel", (e) => { e.preventDefault(); zoomAt(...place(e), Math.exp(-e.deltaY * 0.0015)); }, { passive: false });
    canvas.addEventListener("keydown", (e) => {
      const next = (d) => keep(((state.kept >= 0 ? state.kept : d > 0 ? -1 : 0) + d + told.regions) % told.regions);
      const does = {
        ArrowLeft: () => move(40, 0), ArrowRight: () => move(-40, 0), ArrowUp: () => move(0, 40), ArrowDown: () => move(0, -40),
        "+": () => zoomAt(width / 2, height / 2, 1.4), "=": () => zoomAt(width / 2, height / 2, 1.4), "-": () => zoomAt(width / 2, height / 2, 1 / 1.4),
        0: home, n: () => next(1), p: () => next(-1), Escape: () => keep(-1),
      }[e.key];
      if (does && !e.ctrlKey && !e.metaKey && !e.altKey) { e.preventDefault(); does(); }
    });
    el("home").addEventListener("click", home);
    for (const box of document.querySelectorAll("[data-walls]")) box.addEventListener("change", () => {
      state.walls[box.checked ? "add" : "delete"](+box.dataset.walls); repaint();
    });
    for (const name of ["boundary", "points"]) if (el(name)) el(name).addEventListener("change", (e) => { state[name] = e.target.checked; repaint(); });
    document.addEventListener("theme", () => { showLegend(); repaint(); });
  }

  Object.assign(polyfiber, { told, col, state, settled, regionAt, patternOf, mapOf, toUnit, toWorld, screen: (u, v) => { const f = fit(); return [X(f, u), Y(f, v)]; }, look, dark, say });
  polyfiber.ready = load();
})();
