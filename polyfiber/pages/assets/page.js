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
  let start, order, boxes, grid, G; // first corner of each region, regions by colour, extents, lookup
  const state = { x: 0, y: 0, zoom: 1, colour: "none", hover: -1, kept: -1, walls: new Set(told.groups.map((_, k) => k)), boundary: true, points: true };
  let width = 0, height = 0, cache = null, pending = 0, later = 0;

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
      choose.addEventListener("change", () => { state.colour = choose.value; colourOrder(); repaint(); });
    }
    if (plane) colourOrder();
    listen();
    resize();
    new ResizeObserver(resize).observe(canvas);
  }

  function prepare() {
    const n = told.regions;
    start = new Uint32Array(n + 1);
    for (let i = 0; i < n; i++) start[i + 1] = start[i] + col.corners[i];
    boxes = new Float32Array(4 * n);
    for (let i = 0; i < n; i++) {
      let a = 2, b = 2, c = -1, d = -1;
      for (let k = start[i]; k < start[i + 1]; k++) {
        const x = col.vertex[2 * col.corner[k]], y = col.vertex[2 * col.corner[k] + 1];
        if (x < a) a = x; if (x > c) c = x; if (y < b) b = y; if (y > d) d = y;
      }
      boxes.set([a, b, c, d], 4 * i);
    }
    G = Math.max(1, Math.min(400, Math.ceil(Math.sqrt(n))));
    grid = Array.from({ length: G * G }, () => []);
    for (let i = 0; i < n; i++) {
      const [a, b, c, d] = boxes.subarray(4 * i, 4 * i + 4);
      for (let p = cell(a); p <= cell(c); p++) for (let q = cell(b); q <= cell(d); q++) grid[p * G + q].push(i);
    }
  }
  const cell = (u) => Math.max(0, Math.min(G - 1, Math.floor(u * G)));

  function inside(i, x, y) { // closed convex polygon, either orientation, a hair wide
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
  function layerOf() { // the last hidden layer with a wall on the region's rim: by edges, then by regions
    if (col.rim) return col.rim;
    const last = new Map();
    for (let e = 0; e < col.edgeGroups.length; e++) {
      const a = Math.min(col.edge[2 * e], col.edge[2 * e + 1]), b = Math.max(col.edge[2 * e], col.edge[2 * e + 1]);
      last.set(a * col.vertex.length + b, 32 - Math.clz32(col.edgeGroups[e]));
    }
    col.rim = new Uint8Array(told.regions);
    for (let i = 0; i < told.regions; i++) for (let k = start[i]; k < start[i + 1]; k++) {
      const p = col.corner[k], q = col.corner[k + 1 < start[i + 1] ? k + 1 : start[i]];
      const found = last.get(Math.min(p, q) * col.vertex.length + Math.max(p, q)) || 0;
      if (found > col.rim[i]) col.rim[i] = found;
    }
    return col.rim;
  }
  function shades() { // the column of shades and what a shade looks like
    if (state.colour === "none") return [null, () => look().paper];
    if (state.colour === "class") return [col.owner, (s) => (s === 255 ? look().paper : look().classes[s % look().classes.length])];
    if (state.colour === "layer") return [layerOf(), (s) => ground(s / Math.max(1, told.groups.length))];
    return [col[state.colour], (s) => ground(s / 255)];
  }
  function colourOrder() { // regions of one shade follow each other
    const [of] = shades(), n = told.regions;
    order = new Uint32Array(n);
    const count = new Uint32Array(257);
    for (let i = 0; i < n; i++) count[(of ? of[i] : 0) + 1]++;
    for (let s = 0; s < 256; s++) count[s + 1] += count[s];
    for (let i = 0; i < n; i++) order[count[of ? of[i] : 0]++] = i;
    showLegend();
  }

  function paint(c) {
    const f = fit(), kx = f.w * state.zoom, ky = f.h * state.zoom, ox = f.left - state.x * kx, oy = f.top + f.h + state.y * ky;
    c.fillStyle = look().paper;
    c.fillRect(0, 0, width, height);
    c.save();
    c.beginPath(); c.rect(margin.left, margin.top, width - margin.left - margin.right, height - margin.top - margin.bottom); c.clip();
    if (plane) paintPlane(c, kx, ky, ox, oy); else paintLine(c, f);
    c.restore();
    ticks(c, f);
  }

  function polygons(c, points, sizes, kx, ky, ox, oy, shade) {
    for (let p = 0, at = 0; p < sizes.length; p++) {
      c.beginPath();
      for (let k = 0; k < sizes[p]; k++, at++) c[k ? "lineTo" : "moveTo"](ox + points[2 * at] * kx, oy - points[2 * at + 1] * ky);
      c.closePath(); c.fillStyle = c.strokeStyle = shade(p); c.fill(); c.stroke();
    }
  }

  function paintPlane(c, kx, ky, ox, oy) {
    const v = col.vertex, [of, shade] = shades();
    const left = -ox / kx, right = (width - ox) / kx, low = (oy - height) / ky, high = oy / ky;
    const seams = told.regions < 30000 || state.walls.size < told.groups.length;
    let current = -1, open = false;
    const close = () => { if (open) { c.fillStyle = c.strokeStyle = shade(current); c.fill(); if (seams) c.stroke(); } open = false; };
    c.lineWidth = 0.7;
    for (let r = 0; r < order.length && of; r++) {
      const i = order[r];
      if (boxes[4 * i] > right || boxes[4 * i + 2] < left || boxes[4 * i + 1] > high || boxes[4 * i + 3] < low) continue;
      if (!open || of[i] !== current) { close(); current = of[i]; c.beginPath(); open = true; }
      for (let k = start[i], m = start[i + 1]; k < m; k++) {
        const p = 2 * col.corner[k];
        c[k > start[i] ? "lineTo" : "moveTo"](ox + v[p] * kx, oy - v[p + 1] * ky);
      }
      c.closePath();
    }
    close();
    if (state.colour === "class") {
      polygons(c, col.part, col.partSize, kx, ky, ox, oy, (p) => look().classes[col.partClass[p] % look().classes.length]);
      if (col.tieSize) polygons(c, col.tie, col.tieSize, kx, ky, ox, oy, () => look().tie);
    }
    const colours = look().walls;
    for (const g of state.walls) {
      c.beginPath();
      c.strokeStyle = colours[g % colours.length];
      c.lineWidth = Math.max(0.5, 1.2 - 0.25 * g) * (told.walls > 20000 && state.zoom < 3 ? 0.5 : 1);
      for (let e = 0; e < col.edgeGroups.length; e++) {
        if (!((col.edgeGroups[e] >>> Math.min(g, 31)) & 1)) continue;
        const p = 2 * col.edge[2 * e], q = 2 * col.edge[2 * e + 1];
        c.moveTo(ox + v[p] * kx, oy - v[p + 1] * ky); c.lineTo(ox + v[q] * kx, oy - v[q + 1] * ky);
      }
      c.stroke();
    }
    if (state.boundary && col.boundary) {
      c.beginPath(); c.strokeStyle = look().boundary; c.lineWidth = 3; c.lineCap = "round";
      for (let e = 0; e < col.boundary.length; e += 4) {
        c.moveTo(ox + col.boundary[e] * kx, oy - col.boundary[e + 1] * ky); c.lineTo(ox + col.boundary[e + 2] * kx, oy - col.boundary[e + 3] * ky);
      }
      c.stroke();
    }
    if (state.points && col.point) {
      c.lineWidth = 1.5; c.strokeStyle = look().boundary;
      for (let p = 0; p < col.pointLabel.length; p++) {
        c.beginPath(); c.arc(ox + col.point[2 * p] * kx, oy - col.point[2 * p + 1] * ky, 4, 0, 7);
        c.fillStyle = look().classes[col.pointLabel[p] % look().classes.length]; c.fill(); c.stroke();
      }
    }
  }

  function paintLine(c, f) {
    const m = told.widths[told.widths.length - 1], n = told.regions + 1, colours = look().walls;
    const ux = (x) => (x - told.low[0]) / (told.high[0] - told.low[0]), uy = (y) => (y - told.low[1]) / (told.high[1] - told.low[1] || 1);
    for (let o = 0; o < m; o++) {
      c.beginPath(); c.strokeStyle = colours[o % colours.length]; c.lineWidth = 2; c.setLineDash(o < 6 ? [] : [6, 3]);
      for (let k = 0; k < n; k++) c[k ? "lineTo" : "moveTo"](X(f, ux(col.x[k])), Y(f, uy(col.y[k * m + o])));
      c.stroke(); c.setLineDash([]); c.fillStyle = colours[o % colours.length];
      for (let k = 1; k < n - 1; k++) { c.beginPath(); c.arc(X(f, ux(col.x[k])), Y(f, uy(col.y[k * m + o])), 3, 0, 7); c.fill(); }
    }
  }

  const say = (x) => (x === 0 ? "0" : Math.abs(x) < 1e-3 || Math.abs(x) >= 1e5 ? x.toExponential(2) : String(+x.toPrecision(4)));
  function ticks(c, f) {
    c.fillStyle = c.strokeStyle = look().ink; c.lineWidth = 1; c.font = "12px system-ui, 'DejaVu Sans', sans-serif";
    c.strokeRect(margin.left, margin.top, width - margin.left - margin.right, height - margin.top - margin.bottom);
    const bottom = height - margin.bottom, step = (a, b, most) => {
      const s = (b - a) / most, p = Math.pow(10, Math.floor(Math.log10(s)));
      return [1, 2, 5, 10].map((k) => k * p).find((t) => t >= s) || 10 * p;
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
    c.textAlign = "right"; c.textBaseline = "bottom"; c.fillText(told.labels[0], width - margin.right - 6, bottom - 4);
    c.textAlign = "left"; c.textBaseline = "top"; c.fillText(told.labels[1], margin.left + 6, margin.top + 5);
  }

  function outline(c) { // the region that is pointed at, or kept
    const i = state.kept >= 0 ? state.kept : state.hover, f = fit();
    if (i < 0) return;
    c.save();
    c.beginPath(); c.rect(margin.left, margin.top, width - margin.left - margin.right, height - margin.top - margin.bottom); c.clip();
    c.beginPath();
    if (plane) {
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

  // A full painting takes long where there are many regions: while things move, the last one is moved along.
  function full() {
    const ratio = devicePixelRatio || 1;
    if (!cache) cache = document.createElement("canvas");
    cache.width = canvas.width; cache.height = canvas.height;
    const c = cache.getContext("2d");
    c.setTransform(ratio, 0, 0, ratio, 0, 0);
    const began = performance.now();
    paint(c);
    cache.took = performance.now() - began;
    cache.view = { x: state.x, y: state.y, zoom: state.zoom };
    polyfiber.paintings = (polyfiber.paintings || 0) + 1;
  }
  function show() {
    pending = 0;
    const ratio = devicePixelRatio || 1, f = fit(), was = cache && cache.view;
    const moved = was && (was.x !== state.x || was.y !== state.y || was.zoom !== state.zoom);
    ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
    if (!was || (moved && cache.took < 25)) full();
    else if (moved) {
      clearTimeout(later);
      later = setTimeout(() => { full(); show(); }, 120);
      const k = state.zoom / was.zoom;
      ctx.fillStyle = look().paper; ctx.fillRect(0, 0, width, height);
      const dx = f.left + (was.x - state.x) * f.w * state.zoom - k * f.left, dy = f.top + f.h - (was.y - state.y) * f.h * state.zoom - k * (f.top + f.h);
      ctx.drawImage(cache, dx, dy, k * width, k * height);
      outline(ctx);
      return;
    }
    ctx.drawImage(cache, 0, 0, width, height);
    outline(ctx);
  }
  const draw = () => { if (!pending) pending = requestAnimationFrame(show); };
  function repaint() { full(); draw(); }
  function resize() {
    const r = canvas.getBoundingClientRect(), ratio = devicePixelRatio || 1;
    if (!r.width) return;
    width = r.width; height = r.height;
    canvas.width = Math.round(width * ratio); canvas.height = Math.round(height * ratio);
    repaint();
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
    if (!plane) showLegend();
  }

  Object.assign(polyfiber, { told, col, state, regionAt, patternOf, mapOf, toUnit, toWorld, screen: (u, v) => { const f = fit(); return [X(f, u), Y(f, v)]; }, look, dark, say });
  polyfiber.ready = load();
})();
