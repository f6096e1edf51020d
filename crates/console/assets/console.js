// What every page has: keys, dialogs, buttons that stay on the page, and the lock when nobody is there.

const body = document.body;
const csrf = body.dataset.csrf;
const $ = (selector, within = document) => within.querySelector(selector);

/** Says what has come of a button, in the place where a screen reader listens. */
export function say({ good, what, todo, detail }) {
  const place = $("#said");
  const line = document.createElement("p");
  line.className = good ? "good" : "bad";
  const strong = document.createElement("strong");
  strong.textContent = what ?? "";
  line.append(strong);
  for (const more of [todo, detail]) {
    if (more) line.append(" ", more);
  }
  place.replaceChildren(line);
  clearTimeout(say.timer);
  if (good) say.timer = setTimeout(() => place.replaceChildren(), 6000);
}

/** Asks for something without leaving the page. */
export async function ask(path, fields = {}) {
  const form = new URLSearchParams(fields);
  form.set("csrf", csrf);
  try {
    const answer = await fetch(path, {
      method: "POST",
      headers: { accept: "application/json" },
      body: form,
    });
    if (answer.status === 401) return leave();
    const told = await answer.json();
    if (told.what) say(told);
    return told.good === true;
  } catch {
    say({ good: false, what: $("[data-show=away]")?.textContent ?? "…" });
    return false;
  }
}

/** To the sign-in, and back here behind it. */
export function leave() {
  const here = location.pathname + location.search;
  location.assign("/sign-in?why=expired&next=" + encodeURIComponent(here));
  return false;
}

document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (form.hasAttribute("data-back")) form.elements.back.value = location.pathname + location.search;
  if (!form.hasAttribute("data-quiet")) return;
  event.preventDefault();
  const button = $("button", form);
  button.disabled = true;
  const good = await ask(form.getAttribute("action"), new FormData(form));
  button.disabled = false;
  // Another wish is another one: the same number would only tell what came of the first.
  if (good && form.elements.once) form.elements.once.value = "console-" + crypto.getRandomValues(new Uint32Array(4)).join("");
});

document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-open]");
  if (opener) document.getElementById(opener.dataset.open)?.showModal();
});

// Single letters, which may be switched off (WCAG 2.1.4).
const letters = $("#letters");
if (letters) {
  letters.checked = localStorage.getItem("letters") !== "off";
  letters.addEventListener("change", () => localStorage.setItem("letters", letters.checked ? "on" : "off"));
}
const pages = { c: "/", w: "/wall", p: "/payments", t: "/tasks" };
let going = false;
document.addEventListener("keydown", (event) => {
  if (!letters?.checked || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  if (event.target.closest("input, select, textarea, dialog[open]")) return;
  const key = event.key;
  if (going) {
    going = false;
    const link = $(`.top nav a[href="${pages[key] ?? "-"}"]`);
    if (link) link.click();
    return;
  }
  const focus = { "/": "#search", s: "#start" }[key];
  if (key === "?") $("#help")?.showModal();
  else if (key === "g") going = true;
  else if (focus) $(focus)?.focus();
  else {
    const button = [...document.querySelectorAll(`[data-key="${CSS.escape(key)}"]`)].find((b) => b.offsetParent);
    if (!button) return;
    button.click();
  }
  event.preventDefault();
});

// Somebody is here as long as keys and clicks come.
const idle = Number(body.dataset.idle) * 1000;
if (idle) {
  let seen = Date.now();
  let told = Date.now();
  const here = () => {
    seen = Date.now();
    if (seen - told > 60_000) {
      told = seen;
      ask("/alive");
    }
  };
  for (const kind of ["keydown", "pointerdown", "pointermove"]) addEventListener(kind, here, { passive: true });
  setInterval(() => Date.now() - seen > idle && leave(), 5_000);
}
