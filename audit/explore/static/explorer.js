// Selection, the map's loop, live explanations, and keys. Every page reads without it.
"use strict";

const { root, run } = document.body.dataset, store = `selected in ${run}`;
const find = (selector) => document.querySelector(selector), all = (selector) => [...document.querySelectorAll(selector)];
const chosen = new Set(JSON.parse(sessionStorage.getItem(store) || "[]"));
let draw = () => {};

function show() {
  const shown = find("#selected"), ids = find("#ids");
  sessionStorage.setItem(store, JSON.stringify([...chosen]));
  for (const box of all(".pick")) box.checked = chosen.has(box.value);
  for (const box of all(".every")) { const mine = [...box.closest("table").querySelectorAll(".pick")]; box.checked = mine.length > 0 && mine.every((each) => each.checked); }
  find("#keep")?.classList.toggle("some", chosen.size > 0);
  if (ids) ids.value = JSON.stringify([...chosen]);
  if (shown) shown.textContent = chosen.size === 1 ? ": 1 example is selected" : chosen.size ? `: ${chosen.size.toLocaleString("en")} examples are selected` : ": nothing is selected";
  draw();
}

for (const box of all(".pick")) box.addEventListener("change", () => { box.checked ? chosen.add(box.value) : chosen.delete(box.value); show(); });
for (const box of all(".every")) box.addEventListener("change", () => { for (const each of box.closest("table").querySelectorAll(".pick")) box.checked ? chosen.add(each.value) : chosen.delete(each.value); show(); });
find("#clear")?.addEventListener("click", () => { chosen.clear(); show(); });
if (new URLSearchParams(location.search).has("saved")) { chosen.clear(); history.replaceState(null, "", location.pathname); }

const column = find("#column"), operation = find("#operation");
function offer() {
  const kind = column.selectedOptions[0].dataset.kind;
  for (const each of operation.options) each.hidden = each.disabled = kind !== "" && !each.dataset.kinds.split("|").includes(kind);
  if (operation.selectedOptions[0]?.disabled) operation.value = [...operation.options].find((each) => !each.disabled).value;
}
if (column) { column.addEventListener("change", offer); offer(); }

const map = find("#map");
if (map) fetch(`${root}/points.json`).then((answer) => answer.json()).then((points) => {
  const pen = map.getContext("2d"), edge = 24, loop = [], near = find("#near");
  const names = [...new Set(points.strategy)].filter((name) => name).sort((a, b) => a.localeCompare(b, "en", { numeric: true })), marks = ["circle", "square", "diamond", "triangle", "cross"];
  const colours = ["--blue", "--orange", "--green", "--purple", "--vermillion", "--grey"];
  const page = () => getComputedStyle(document.body), colour = (k) => page().getPropertyValue(k < 0 ? "--line" : colours[k % (colours.length - 1)]);
  const range = (values) => [values.reduce((a, b) => Math.min(a, b), Infinity), values.reduce((a, b) => Math.max(a, b), -Infinity)];
  const [left, right] = range(points.x), [low, high] = range(points.y);
  const places = points.ids.map((_, i) => [
    edge + (map.width - 2 * edge) * (points.x[i] - left) / (right - left || 1),
    map.height - edge - (map.height - 2 * edge) * (points.y[i] - low) / (high - low || 1),
  ]);
  const kind = points.strategy.map((name) => names.indexOf(name)), circle = { x: map.width / 2, y: map.height / 2, r: 40, on: false };

  function mark(pen, x, y, k) {
    const r = k < 0 ? 3 : 4;
    pen.beginPath();
    if (k < 0) { pen.arc(x, y, r, 0, 7); return; }
    if (marks[k % 5] === "square") pen.rect(x - r, y - r, 2 * r, 2 * r);
    else if (marks[k % 5] === "diamond") { pen.moveTo(x, y - r - 1); pen.lineTo(x + r + 1, y); pen.lineTo(x, y + r + 1); pen.lineTo(x - r - 1, y); pen.closePath(); }
    else if (marks[k % 5] === "triangle") { pen.moveTo(x, y - r - 1); pen.lineTo(x + r, y + r); pen.lineTo(x - r, y + r); pen.closePath(); }
    else if (marks[k % 5] === "cross") { pen.rect(x - r, y - 1.5, 2 * r, 3); pen.rect(x - 1.5, y - r, 3, 2 * r); }
    else pen.arc(x, y, r, 0, 7);
  }
  function ring(x, y, r, width) { pen.strokeStyle = page().color; pen.lineWidth = width; pen.beginPath(); pen.arc(x, y, r, 0, 7); pen.stroke(); }
  draw = () => {
    pen.clearRect(0, 0, map.width, map.height);
    points.ids.forEach((id, i) => {
      const [x, y] = places[i];
      pen.strokeStyle = pen.fillStyle = colour(kind[i]);
      pen.lineWidth = 1.4;
      mark(pen, x, y, kind[i]);
      points.correct[i] ? pen.fill() : pen.stroke();
      if (chosen.has(id)) ring(x, y, 8, 2);
    });
    if (loop.length) { pen.strokeStyle = page().color; pen.lineWidth = 1.5; pen.beginPath(); loop.forEach((at, i) => i ? pen.lineTo(...at) : pen.moveTo(...at)); pen.stroke(); }
    for (const each of all("canvas.mark")) {
      const small = each.getContext("2d"), k = names.indexOf(each.dataset.key);
      small.clearRect(0, 0, 18, 18);
      small.fillStyle = colour(k);
      mark(small, 9, 9, k);
      if (k >= 0) small.fill();
    }
    if (circle.on) ring(circle.x, circle.y, circle.r, 2.5);
  };
  const at = (event) => { const box = map.getBoundingClientRect(); return [(event.clientX - box.left) * map.width / box.width, (event.clientY - box.top) * map.height / box.height]; };
  function inside([x, y]) {
    let found = false;
    for (let i = 0, j = loop.length - 1; i < loop.length; j = i++) {
      const [xi, yi] = loop[i], [xj, yj] = loop[j];
      if ((yi > y) !== (yj > y) && x < (xj - xi) * (y - yi) / (yj - yi) + xi) found = !found;
    }
    return found;
  }
  const around = (x, y, r) => points.ids.filter((_, i) => Math.hypot(places[i][0] - x, places[i][1] - y) <= r);
  const add = (ids) => { ids.forEach((id) => chosen.add(id)); show(); };

  let told = null;
  function tell(id) {
    const open = document.createElement("a");
    open.href = `${root}/example?id=${encodeURIComponent(id)}`;
    open.textContent = id;
    near.replaceChildren(open, `: ${points.strategy[points.ids.indexOf(id)] || "in no strategy"}, ${points.correct[points.ids.indexOf(id)] ? "right" : "an error"}.`);
  }
  map.addEventListener("dblclick", (event) => { const [id] = around(...at(event), 8); if (id !== undefined) location.href = `${root}/example?id=${encodeURIComponent(id)}`; });
  map.addEventListener("pointerdown", (event) => { map.setPointerCapture(event.pointerId); loop.splice(0, loop.length, at(event)); circle.on = false; });
  map.addEventListener("pointermove", (event) => {
    if (loop.length) { loop.push(at(event)); draw(); return; }
    const [id] = around(...at(event), 7);
    if (id !== undefined && id !== told) tell(told = id);
  });
  map.addEventListener("pointerup", () => { if (!loop.length) return; const ids = loop.length > 2 ? points.ids.filter((_, i) => inside(places[i])) : around(...loop[0], 8).slice(0, 1); loop.length = 0; add(ids); });
  map.addEventListener("pointercancel", () => { loop.length = 0; draw(); });
  map.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [-12, 0], ArrowRight: [12, 0], ArrowUp: [0, -12], ArrowDown: [0, 12] }[event.key], grow = { "+": 1.25, "-": 0.8 }[event.key];
    if (event.key === "Escape") { circle.on = false; loop.length = 0; draw(); return; }
    if (event.key === "Enter" || event.key === " ") add(around(circle.x, circle.y, circle.r));
    else if (step) { circle.x = Math.min(map.width, Math.max(0, circle.x + step[0])); circle.y = Math.min(map.height, Math.max(0, circle.y + step[1])); }
    else if (grow) circle.r = Math.min(400, Math.max(6, circle.r * grow));
    else return;
    event.preventDefault();
    circle.on = true;
    near.textContent = `${around(circle.x, circle.y, circle.r).length} examples lie in the circle.`;
    draw();
  });
  for (const button of all(".strategy")) button.addEventListener("click", () => add(points.ids.filter((_, i) => points.strategy[i] === button.dataset.key)));
  near.textContent = `${points.ids.length.toLocaleString("en")} examples are on the map.`;
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => draw());
  map.dataset.ready = "yes";
  draw();
}).catch(() => { find("#near").textContent = "The map could not be loaded; reload the page."; });

const live = find("#live");
if (live) {
  let waiting = null, asked = 0;
  const stage = find("#stage"), staged = find("#staged"), box = find("#box");
  const tell = (words) => { asked++; clearTimeout(waiting); const p = document.createElement("p"); p.className = "warning"; p.textContent = words; find("#explained").replaceChildren(p); };
  async function explain() {
    const mine = ++asked, query = new URLSearchParams(new FormData(live));
    query.delete("photograph");
    history.replaceState(null, "", `${root}/live?${query}`);
    try {
      const answer = await fetch(`${root}/live?part=1&${query}`);
      const made = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("#explained");
      if (made && mine === asked) { const open = find("#explained details")?.open; find("#explained").replaceWith(made); if (open) find("#explained details")?.setAttribute("open", ""); }
    } catch { if (mine === asked) tell("The explorer does not answer; is it still running?"); }
  }
  find("#pin").addEventListener("click", () => {
    const kept = find("#explained").cloneNode(true), pinned = find("#pinned");
    kept.removeAttribute("id");
    pinned.replaceChildren(pinned.firstElementChild, kept);
    pinned.hidden = false;
  });
  const soon = () => { clearTimeout(waiting); waiting = setTimeout(explain, 60); };
  live.addEventListener("input", () => { place(); soon(); });
  live.addEventListener("submit", (event) => { event.preventDefault(); explain(); });

  async function send(file) {
    const answer = await fetch(`${root}/photograph`, { method: "POST", body: file });
    const told = answer.headers.get("content-type").startsWith("application/json") ? await answer.json() : { problem: await answer.text() };
    if (!told.key) { tell(told.problem); return; }
    live.elements.key.value = told.key;
    live.elements.covered.value = "";
    staged.src = `${root}/photograph?key=${told.key}`;
    stage.hidden = false;
    place();
    explain();
  }
  find("#photograph")?.addEventListener("change", (event) => { if (event.target.files[0]) send(event.target.files[0]); });
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => { event.preventDefault(); if (stage && event.dataTransfer.files[0]) send(event.dataTransfer.files[0]); });

  const covered = () => (live.elements.covered?.value.match(/^\d+,\d+,\d+,\d+$/) ? live.elements.covered.value.split(",").map(Number) : null);
  function place() { // the box, in pixels of the photograph, over the picture as it is shown
    if (!box) return;
    const found = covered(), scale = staged.clientWidth / (staged.naturalWidth || 1);
    box.hidden = !found;
    if (found) ["left", "top", "width", "height"].forEach((side, i) => { box.style[side] = `${found[i] * scale}px`; });
  }
  function cover(left, top, width, height) {
    const most = [staged.naturalWidth, staged.naturalHeight];
    left = Math.round(Math.min(Math.max(0, left), most[0] - 1)); top = Math.round(Math.min(Math.max(0, top), most[1] - 1));
    width = Math.round(Math.min(Math.max(1, width), most[0] - left)); height = Math.round(Math.min(Math.max(1, height), most[1] - top));
    live.elements.covered.value = [left, top, width, height].join(",");
    place(); soon();
  }
  if (stage) {
    let from = null;
    const at = (event) => { const seen = staged.getBoundingClientRect(), scale = staged.naturalWidth / seen.width; return [(event.clientX - seen.left) * scale, (event.clientY - seen.top) * scale]; };
    staged.addEventListener("load", place);
    addEventListener("resize", place);
    staged.addEventListener("dragstart", (event) => event.preventDefault());
    staged.addEventListener("pointerdown", (event) => { staged.setPointerCapture(event.pointerId); from = at(event); });
    staged.addEventListener("pointermove", (event) => { if (from) { const to = at(event); cover(Math.min(from[0], to[0]), Math.min(from[1], to[1]), Math.abs(to[0] - from[0]), Math.abs(to[1] - from[1])); } });
    staged.addEventListener("pointerup", () => { from = null; });
    stage.addEventListener("keydown", (event) => {
      if (event.key === "Delete" || event.key === "Backspace") { event.preventDefault(); live.elements.covered.value = ""; place(); soon(); return; }
      const side = Math.max(1, staged.naturalWidth / 20), step = { ArrowLeft: [-side, 0], ArrowRight: [side, 0], ArrowUp: [0, -side], ArrowDown: [0, side] }[event.key];
      if (!step) return;
      event.preventDefault();
      const [left, top, width, height] = covered() || [0, 0, 4 * side, 4 * side];
      event.shiftKey ? cover(left, top, width + step[0], height + step[1]) : cover(left + step[0], top + step[1], width, height);
    });
    place();
  }
}

document.addEventListener("keydown", (event) => {
  if (event.target.closest("input:not([type=checkbox]), select, textarea, canvas, .stage") || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "/") { event.preventDefault(); const search = find("#search") || find("form.ask select"); search && location.pathname.endsWith("/examples") ? search.focus() : (location.href = `${root}/examples`); }
  if (event.key === "x") (find("#this") || document.activeElement.closest("tr")?.querySelector(".pick"))?.click();
  const to = { n: "next", p: "prev" }[event.key];
  if (to) find(`a[rel="${to}"]`)?.click();
});
addEventListener("pageshow", (event) => { if (event.persisted) { chosen.clear(); JSON.parse(sessionStorage.getItem(store) || "[]").forEach((id) => chosen.add(id)); } show(); });
