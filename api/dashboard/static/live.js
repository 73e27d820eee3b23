// Live parts: HTML fragments replaced from a server-sent event stream.
// The focused row keeps the focus, and the page shows since when a stream is lost.
function replace(part, html) {
  const current = part.querySelector(".cur")?.dataset.key
  const focused = part.contains(document.activeElement)
  const ticked = [...part.querySelectorAll("input:checked")].map((input) => input.value)
  part.innerHTML = html
  for (const input of part.querySelectorAll("input")) input.checked = ticked.includes(input.value)
  const row = current && part.querySelector(`[data-key="${CSS.escape(current)}"]`)
  if (row) {
    row.classList.add("cur")
    if (focused) row.querySelector("a")?.focus({ preventScroll: true })
  }
  part.dispatchEvent(new Event("assay:replaced", { bubbles: true }))
}

function note(text) {
  const place = document.querySelector("[data-live-note]")
  if (place) place.textContent = text
}

const AGAIN_MS = 5000

function follow(address, onMessage, lostSince = null) {
  const source = new EventSource(address)
  source.addEventListener("open", () => {
    lostSince = null
    note("live")
  })
  source.addEventListener("error", () => {
    lostSince ??= new Date()
    note(`Live updates stopped at ${lostSince.toLocaleTimeString("en-GB")}; trying again.`)
    // The browser itself tries again after a lost connection, but not after a refusal.
    if (source.readyState === EventSource.CLOSED) {
      setTimeout(() => follow(address, onMessage, lostSince), AGAIN_MS)
    }
  })
  source.addEventListener("done", () => {
    source.close()
    location.reload()
  })
  source.addEventListener("message", onMessage)
}

for (const part of document.querySelectorAll("[data-live]")) {
  follow(part.dataset.live, (event) => {
    const { title, parts } = JSON.parse(event.data)
    if (title) document.title = title
    for (const [name, html] of Object.entries(parts)) {
      const place = name === "self" ? part : part.querySelector(`[data-part="${CSS.escape(name)}"]`)
      if (place) replace(place, html)
    }
  })
}
for (const part of document.querySelectorAll("[data-live-reload]")) {
  follow(part.dataset.liveReload, () => {})
}
