"use strict";
// A surface in space: triangles from back to front, turned by hand.
polyfiber.ready.then(() => {
  const { told, col, look } = polyfiber, canvas = document.getElementById("space"), c = canvas.getContext("2d");
  const view = { turn: 0.6, tilt: 0.4, zoom: 1 };
  const n = told.space.triangles, depth = new Float32Array(n), order = Array.from({ length: n }, (_, i) => i);
  polyfiber.space = view;
  function draw() {
    const r = canvas.getBoundingClientRect(), ratio = devicePixelRatio || 1;
    canvas.width = Math.round(r.width * ratio); canvas.height = Math.round(r.height * ratio);
    c.setTransform(ratio, 0, 0, ratio, 0, 0);
    c.fillStyle = look().paper; c.fillRect(0, 0, r.width, r.height);
    const [s, k, a, b] = [Math.sin(view.turn), Math.cos(view.turn), Math.sin(view.tilt), Math.cos(view.tilt)], scale = 0.55 * Math.min(r.width, r.height) * view.zoom;
    const put = (x, y, z) => {
      x -= 0.5; y -= 0.5; z -= 0.5;
      const p = k * x - s * y, q = s * x + k * y;
      return [r.width / 2 + scale * p, r.height / 2 - scale * (b * z + a * q), b * q - a * z];
    };
    const m = col.solid.length / 3, at = new Float32Array(3 * m);
    for (let i = 0; i < m; i++) at.set(put(col.solid[3 * i], col.solid[3 * i + 1], col.solid[3 * i + 2]), 3 * i);
    for (let t = 0; t < n; t++) depth[t] = at[3 * col.triangle[3 * t] + 2] + at[3 * col.triangle[3 * t + 1] + 2] + at[3 * col.triangle[3 * t + 2] + 2];
    order.sort((p, q) => depth[q] - depth[p]);
    c.strokeStyle = look().ink; c.lineWidth = 1; c.beginPath();
    for (const [p, q] of [[0, 1], [0, 2], [0, 4], [1, 3], [1, 5], [2, 3], [2, 6], [3, 7], [4, 5], [4, 6], [5, 7], [6, 7]]) {
      const e = put(p & 1, (p >> 1) & 1, p >> 2), f = put(q & 1, (q >> 1) & 1, q >> 2);
      c.moveTo(e[0], e[1]); c.lineTo(f[0], f[1]);
    }
    c.stroke(); c.lineJoin = "round";
    const g = look().ground;
    for (const t of order) {
      const [i, j, l] = [0, 1, 2].map((d) => 3 * col.triangle[3 * t + d]);
      const [ux, uy, uz] = [0, 1, 2].map((d) => at[j + d] - at[i + d]), [vx, vy, vz] = [0, 1, 2].map((d) => at[l + d] - at[i + d]);
      const sz = scale * scale, nx = uy * vz - uz * vy, ny = uz * vx - ux * vz, nz = (ux * vy - uy * vx) / scale, size = Math.hypot(nx, ny, nz) || sz;
      c.beginPath(); c.moveTo(at[i], at[i + 1]); c.lineTo(at[j], at[j + 1]); c.lineTo(at[l], at[l + 1]); c.closePath();
      c.fillStyle = c.strokeStyle = g[Math.round((g.length - 1) * Math.min(1, Math.abs(nz) / size))];
      c.lineWidth = 0.5; c.fill(); c.stroke();
    }
    polyfiber.turned = (polyfiber.turned || 0) + 1;
  }
  let hand = null;
  canvas.addEventListener("pointerdown", (e) => { hand = [e.clientX, e.clientY]; canvas.setPointerCapture(e.pointerId); });
  canvas.addEventListener("pointermove", (e) => {
    if (!hand) return;
    view.turn += (e.clientX - hand[0]) * 0.01; view.tilt += (e.clientY - hand[1]) * 0.01; hand = [e.clientX, e.clientY]; requestAnimationFrame(draw);
  });
  canvas.addEventListener("pointerup", () => { hand = null; });
  canvas.addEventListener("keydown", (e) => {
    const does = { ArrowLeft: ["turn", -0.15], ArrowRight: ["turn", 0.15], ArrowUp: ["tilt", -0.15], ArrowDown: ["tilt", 0.15], "+": ["zoom", 0.2], "-": ["zoom", -0.2] }[e.key];
    if (!does) return;
    e.preventDefault(); view[does[0]] += does[1]; view.zoom = Math.max(0.2, view.zoom); draw();
  });
  new ResizeObserver(draw).observe(canvas);
  document.addEventListener("theme", draw);
  draw();
});
