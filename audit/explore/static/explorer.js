// Selection, the map's lasso, and what the form of conditions offers. Every page reads without it.
"use strict";

const root = document.body.dataset.root;
const chosen = new Set(JSON.parse(sessionStorage.getItem("selected") || "[]"));

function show() {
  const shown = document.getElementById("selected"), ids = document.getElementById("ids");
  sessionStorage.setItem("selected", JSON.stringify([...chosen]));
  for (const box of document.querySelectorAll(".pick")) box.checked = chosen.has(box.value);
  if (ids) ids.value = JSON.stringify([...chosen]);
  if (shown) shown.textContent = chosen.size === 1 ? "1 example is selected." : chosen.size ? `${chosen.size.toLocaleString("en")} examples are selected.` : "Nothing is selected.";
}

for (const box of document.querySelectorAll(".pick")) {
  box.addEventListener("change", () => { box.checked ? chosen.add(box.value) : chosen.delete(box.value); show(); });
}
document.getElementById("clear")?.addEventListener("click", () => { chosen.clear(); show(); draw?.(); });

const column = document.getElementById("column"), operation = document.getElementById("operation");
function offer() {
  const kind = column.selectedOptions[0].dataset.kind;
  for (const each of operation.options) each.hidden = each.disabled = !each.dataset.kinds.split("|").includes(kind);
  if (operation.selectedOptions[0]?.disabled) operation.value = [...operation.options].find((each) => !each.disabled).value;
  const values = document.getElementById("values");
  values.replaceChildren(...JSON.parse(document.getElementById("choices")?.textContent || "{}")[column.value]?.map((value) => new Option(value, value)) || []);
}
if (column) { column.addEventListener("change", offer); offer(); }

const map = document.getElementById("map");
let draw = null;
if (map) fetch(`${root}/points.json`).then((answer) => answer.json()).then((points) => {
  const pen = map.getContext("2d"), edge = 24, loop = [];
  const names = [...new Set(points.strategy)].sort(), marks = ["circle", "square", "diamond", "triangle", "cross"];
  const colours = ["--blue", "--orange", "--green", "--purple", "--vermillion", "--grey"];
  const colour = (k) => getComputedStyle(document.body).getPropertyValue(colours[k % colours.length]);
  const range = (values) => [values.reduce((a, b) => Math.min(a, b), Infinity), values.reduce((a, b) => Math.max(a, b), -Infinity)];
  const [left, right] = range(points.x), [low, high] = range(points.y);
  const place = (i) => [
    edge + (map.width - 2 * edge) * (points.x[i] - left) / (right - left || 1),
    map.height - edge - (map.height - 2 * edge) * (points.y[i] - low) / (high - low || 1),
  ];
  const kind = points.strategy.map((name) => names.indexOf(name));
  function shape(x, y, k) {
    pen.beginPath();
    const r = 4;
    if (marks[k % 5] === "square") pen.rect(x - r, y - r, 2 * r, 2 * r);
    else if (marks[k % 5] === "diamond") { pen.moveTo(x, y - r - 1); pen.lineTo(x + r + 1, y); pen.lineTo(x, y + r + 1); pen.lineTo(x - r - 1, y); pen.closePath(); }
    else if (marks[k % 5] === "triangle") { pen.moveTo(x, y - r - 1); pen.lineTo(x + r, y + r); pen.lineTo(x - r, y + r); pen.closePath(); }
    else if (marks[k % 5] === "cross") { pen.rect(x - r, y - 1.5, 2 * r, 3); pen.rect(x - 1.5, y - r, 3, 2 * r); }
    else pen.arc(x, y, r, 0, 7);
  }
  draw = () => {
    pen.clearRect(0, 0, map.width, map.height);
    points.ids.forEach((id, i) => {
      const [x, y] = place(i);
      pen.strokeStyle = pen.fillStyle = colour(kind[i]);
      pen.lineWidth = 1.2;
      shape(x, y, kind[i]);
      points.correct[i] ? pen.fill() : pen.stroke();
      if (chosen.has(id)) { pen.strokeStyle = getComputedStyle(document.body).color; pen.lineWidth = 2; pen.beginPath(); pen.arc(x, y, 8, 0, 7); pen.stroke(); }
    });
    if (loop.length) { pen.strokeStyle = getComputedStyle(document.body).color; pen.lineWidth = 1.5; pen.beginPath(); loop.forEach((at, i) => i ? pen.lineTo(...at) : pen.moveTo(...at)); pen.stroke(); }
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
  map.addEventListener("pointerdown", (event) => { map.setPointerCapture(event.pointerId); loop.splice(0, loop.length, at(event)); });
  map.addEventListener("pointermove", (event) => { if (loop.length) { loop.push(at(event)); draw(); } });
  map.addEventListener("pointerup", () => {
    if (loop.length > 2) points.ids.forEach((id, i) => { if (inside(place(i))) chosen.add(id); });
    loop.length = 0; show(); draw();
  });
  map.addEventListener("keydown", (event) => { if (event.key === "Escape") { chosen.clear(); show(); draw(); } });
  document.getElementById("legend").textContent = names.map((name, k) => `${name || "in none"}: ${marks[k % 5]}`).join(", ");
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  draw();
});

const live = document.getElementById("live");
if (live) {
  let waiting = null, asked = 0;
  async function explain() {
    const mine = ++asked, query = new URLSearchParams(new FormData(live));
    query.delete("photograph");
    history.replaceState(null, "", `${root}/live?${query}`);
    const answer = await fetch(`${root}/live?part=1&${query}`);
    const made = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("explained");
    if (made && mine === asked) document.getElementById("explained").replaceWith(made);
  }
  const soon = () => { clearTimeout(waiting); waiting = setTimeout(explain, 120); };
  live.addEventListener("input", soon);
  live.addEventListener("submit", (event) => { event.preventDefault(); explain(); });
  async function send(file) {
    const answer = await fetch(`${root}/photograph`, { method: "POST", body: file });
    const told = await answer.json();
    if (told.key) { live.elements.key.value = told.key; explain(); }
    else document.getElementById("explained").textContent = told.problem;
  }
  document.getElementById("photograph")?.addEventListener("change", (event) => { if (event.target.files[0]) send(event.target.files[0]); });
  live.addEventListener("dragover", (event) => event.preventDefault());
  live.addEventListener("drop", (event) => { event.preventDefault(); if (event.dataTransfer.files[0]) send(event.dataTransfer.files[0]); });
}

document.addEventListener("keydown", (event) => {
  if (event.target.closest("input, select, textarea") || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "/") { const box = document.getElementById("search"); if (box) { event.preventDefault(); box.focus(); } }
  const to = { n: "next", p: "prev" }[event.key];
  if (to) document.querySelector(`a[rel="${to}"]`)?.click();
});
show();
