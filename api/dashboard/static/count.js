// The form of a run: every change updates the number of matching targets and the address of the page.
const form = document.querySelector("[data-count]")
const place = document.querySelector("#matching")
const private_ = new Set(["csrf", "once"])

function asked() {
  const fields = new URLSearchParams()
  for (const [name, value] of new FormData(form)) {
    if (!private_.has(name) && value !== "" && !(name === "share" && value === "100")) {
      fields.append(name, value)
    }
  }
  return fields
}

// The estimate is requested after the count, because it reads traces.
const estimate = document.querySelector("[data-estimate]")
async function weigh(fields, mine) {
  const answer = await fetch(`${estimate.dataset.estimate}?${fields}`)
  if (answer.ok && mine === newest) estimate.innerHTML = await answer.text()
}

let newest = 0
async function count() {
  const mine = ++newest
  const fields = asked()
  history.replaceState(null, "", fields.size ? `?${fields}` : location.pathname)
  const carrier = document.querySelector("[data-carries]")
  if (carrier) carrier.search = fields.toString()
  const answer = await fetch(`${form.dataset.count}?${fields}`)
  if (!answer.ok || mine !== newest) return
  place.innerHTML = await answer.text()
  place.dispatchEvent(new Event("assay:replaced", { bubbles: true }))
  weigh(fields, mine)
}

let waiting
form.addEventListener("input", () => {
  clearTimeout(waiting)
  waiting = setTimeout(count, 250)
})
weigh(asked(), newest)
for (const button of form.querySelectorAll("[data-enhanced]")) button.hidden = true
