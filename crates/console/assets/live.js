// Pages that follow what happens: each event has the whole of what is shown, as text.

import { ask, leave } from "./console.js";

const root = document.querySelector("[data-live]");
const parts = (name) => document.querySelectorAll(`[data-${name}]`);
let view = {};
let until = 0;

/** Puts texts into their places; texts only, whatever they hold. */
function fill(view) {
  for (const place of parts("text")) {
    const text = String(view[place.dataset.text] ?? "");
    if (place.textContent !== text) place.textContent = text;
  }
  for (const place of parts("show")) {
    const value = view[place.dataset.show];
    place.hidden = !(Array.isArray(value) ? value.length : value);
  }
}

function shape() {
  const mark = document.createElement("span");
  mark.className = "shape";
  mark.setAttribute("aria-hidden", "true");
  return mark;
}

function field({ name, state, state_name, keyed, dots }) {
  const line = document.createElement("li");
  line.className = state === "now" ? "now-field" : state;
  if (state === "now") line.setAttribute("aria-current", "step");
  const title = document.createElement("span");
  title.textContent = name;
  const stands = document.createElement("span");
  stands.className = "visually-hidden";
  stands.textContent = ` (${state_name})`;
  title.append(stands);
  const row = document.createElement("span");
  row.className = "dots";
  row.setAttribute("aria-hidden", "true");
  row.textContent = "●".repeat(dots);
  const count = document.createElement("span");
  count.textContent = keyed;
  line.append(shape(), title, row, count);
  return line;
}

function call(data) {
  view = data;
  const on = data.state === "on";
  const ended = data.state === "ended";
  until = data.seconds == null ? 0 : Date.now() + data.seconds * 1000;
  fill({
    ...data,
    away: !data.connected,
    some: on || ended,
    ended,
    waiting: !on,
    free: !on,
    running: on && !data.paused,
    holding: data.mode && !data.stay,
    staying: data.mode && data.stay,
    seconds: data.seconds != null,
  });
  const now = document.querySelector(".now");
  now.className = `card now ${data.tone ? `tone-${data.tone}` : ""}`;
  document.querySelector("[data-fields]").replaceChildren(...data.fields.map(field));
  const link = document.querySelector("[data-payment]");
  if (data.payment_id) link.href = `/payments/${data.payment_id}`;
  tick();
}

function tick() {
  const place = document.querySelector("[data-seconds]");
  if (!place || !until) return;
  const left = Math.max(0, Math.round((until - Date.now()) / 1000));
  place.textContent = `${left} ${root.dataset.unit}`;
  place.parentElement.classList.toggle("low", left <= 10);
}

function rows(name, all, columns, none) {
  const table = document.querySelector(`[data-rows=${name}]`);
  const made = all.map((one) => {
    const row = document.createElement("tr");
    for (const column of columns) {
      const cell = document.createElement("td");
      const [key, kind] = column.split(":");
      if (kind === "num") cell.className = "num";
      let place = cell;
      const id = one.payment_id ?? one.id;
      if (kind === "link" && id) {
        place = document.createElement("a");
        place.href = `/payments/${id}`;
        cell.append(place);
      }
      if (kind === "tone") {
        const mark = shape();
        cell.className = { good: "approved", bad: "declined", care: "unknown" }[one.tone] ?? "";
        cell.append(mark, " ");
        place = document.createElement("span");
        cell.append(place);
      }
      const text = document.createElement("bdi");
      text.textContent = one[key] || (kind === "link" ? "–" : "");
      place.append(text);
      if (key === "step" && one.note) {
        const note = document.createElement("small");
        note.textContent = ` ${one.note}`;
        place.append(note);
      }
      row.append(cell);
    }
    return row;
  });
  if (!made.length) {
    const row = document.createElement("tr");
    const cell = document.createElement("td");
    cell.colSpan = columns.length;
    cell.className = "none";
    cell.textContent = none;
    row.append(cell);
    made.push(row);
  }
  table.replaceChildren(...made);
}

function wall(data) {
  fill({ ...data, away: !data.connected });
  rows("calls", data.calls, ["extension", "operator", "order:link", "amount:num", "step", "keyed", "attempt", "began"], root.dataset.none);
  rows("ended", data.ended, ["extension", "order:link", "amount:num", "step:tone"], root.dataset.noneEnded);
}

function aside({ pools, unknowns }) {
  rows("unknowns", unknowns, ["order:link", "amount:num", "operator", "age:num"], root.dataset.noneUnknown);
  document.querySelector("[data-unknown-count]").textContent = unknowns.length;
  const place = document.querySelector("[data-pools]");
  const lines = pools.map(({ name, used, guaranteed, limit }) => {
    const line = document.createElement("div");
    line.className = "pool";
    const title = document.createElement("bdi");
    title.textContent = name;
    const bar = document.createElement("progress");
    bar.max = limit ?? Math.max(guaranteed, used, 1);
    bar.value = used;
    bar.setAttribute("aria-label", name);
    const count = document.createElement("span");
    count.className = "num";
    count.textContent = `${used} / ${limit ?? "∞"}`;
    line.append(title, bar, count);
    return line;
  });
  place.replaceChildren(place.firstElementChild, ...lines);
  place.hidden = !lines.length;
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-do]");
  if (!button || !view.call_id) return;
  const what = button.dataset.do;
  const fields = { ask: { for: view.ask }, switch: { mode: button.dataset.mode } }[what] ?? {};
  button.disabled = true;
  await ask(`/call/${view.call_id}/${what}`, fields);
  button.disabled = false;
});

const stream = new EventSource(root.dataset.live);
const hear = (name, then) => stream.addEventListener(name, (event) => then(JSON.parse(event.data)));
hear("call", call);
hear("wall", wall);
hear("aside", aside);
hear("over", leave);
stream.addEventListener("error", () => {
  for (const place of parts("show")) if (place.dataset.show === "away") place.hidden = false;
  // One that is closed was refused: who it is may not be known any more.
  if (stream.readyState === EventSource.CLOSED) setTimeout(() => location.reload(), 3_000);
});
addEventListener("pagehide", () => stream.close());
setInterval(tick, 500);
