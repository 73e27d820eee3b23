// Progressive enhancement only: every page works without this script.
// Times in the reader's zone, the theme, keys, help, copying, marking a finding's steps.
const root = document.documentElement
const one = (selector) => document.querySelector(selector)
const all = (selector, within = document) => [...within.querySelectorAll(selector)]

// Times: the server writes UTC. The script shows the reader's time zone; UTC stays in the title.
const forms = {
  minute: { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", hour12: false },
  second: {
    day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false,
  },
  clock: { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false },
}
function localizeTimes(within) {
  for (const time of all("time[data-form]", within)) {
    const form = forms[time.dataset.form]
    if (form) time.textContent = new Date(time.dateTime).toLocaleString("en-GB", form).replace(",", "").replace("Sept", "Sep")
  }
}

// The theme: the system's theme until the reader chooses. The server reads the cookie, so no page flashes.
function isDark() {
  return root.dataset.theme
    ? root.dataset.theme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches
}
function switchTheme() {
  root.dataset.theme = isDark() ? "light" : "dark"
  document.cookie = `assay_theme=${root.dataset.theme}; path=/ui; max-age=31536000; samesite=strict`
}

// Rows: j and k focus the first link of a row, so that Enter and screen readers work.
function moveRow(by) {
  const rows = all("[data-row]")
  const at = rows.findIndex((row) => row.classList.contains("cur"))
  const next = rows[Math.max(0, Math.min(rows.length - 1, at + by))]
  rows[at]?.classList.remove("cur")
  next?.classList.add("cur")
  next?.scrollIntoView({ block: "nearest" })
  const target = (next?.querySelector("a") ?? next?.querySelector("input"))
  if (target) target.focus({ preventScroll: true })
  else next?.focus({ preventScroll: true })
}

const help = () => one("#keys").showModal()
const pageKeys = {
  j: () => moveRow(1),
  k: () => moveRow(-1),
  t: switchTheme,
  "?": help,
  "/": () => one(".find input")?.focus(),
}

// Keys that are pressed before the main part of a page has arrived take effect when it arrives.
const early = []
function pressEarly() {
  for (const key of early.splice(0)) {
    document.body.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }))
  }
}

function press(event) {
  const typing = event.target.closest("input, select, textarea")
  if (event.key === "Enter" && event.ctrlKey && event.target.form) {
    event.preventDefault()
    event.target.form.requestSubmit()
    return
  }
  const picks = typing?.matches("[type=checkbox], [type=radio]")
  // A closed dialog keeps the focus until the next frame, so only an open dialog takes the keys.
  if ((typing && !picks) || event.target.closest("dialog[open]")) return
  if (event.ctrlKey || event.metaKey || event.altKey) return
  if (one("main[data-fragment]") && (event.key.length === 1 || event.key === "Enter")) {
    early.push(event.key)
    event.preventDefault()
    return
  }
  if (event.key === "Enter" && event.target.closest("a, button, summary")) return
  // A key clicks the element that declares it, so that templates and this handler cannot disagree.
  const own =
    one(`[aria-keyshortcuts="${CSS.escape(event.key)}"]`) ||
    (event.key === "Enter" && one(".cur a")) ||
    (event.key === "x" && one(".cur input[type=checkbox]"))
  if (!own && !pageKeys[event.key]) return
  event.preventDefault()
  if (!own) pageKeys[event.key]()
  else if (own.matches("textarea, input:not([type=radio], [type=checkbox])")) own.focus()
  else own.click()
}

async function copy(button) {
  await navigator.clipboard.writeText(one(button.dataset.copy).innerText)
  button.textContent = "Copied"
}

// Hovering over a finding marks its steps lightly.
function markSteps(finding, on) {
  for (const number of finding.dataset.steps.split(" ")) {
    one(`#step-${CSS.escape(number)}`)?.classList.toggle("hot", on)
  }
}

localizeTimes(document)
document.addEventListener("assay:replaced", (event) => {
  localizeTimes(event.target)
  pressEarly()
})
one("#theme")?.addEventListener("click", switchTheme)
one("#help")?.addEventListener("click", help)
addEventListener("keydown", press)
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-copy]")
  if (button) copy(button)
})
for (const finding of all("[data-steps]")) {
  finding.addEventListener("mouseenter", () => markSteps(finding, true))
  finding.addEventListener("mouseleave", () => markSteps(finding, false))
}
for (const select of all("select[data-submit]")) {
  select.addEventListener("change", () => select.form.requestSubmit())
}
