// Fetches the slow parts of a page after it is shown, and puts each into its place. A place has the
// height of its part, so that the layout does not shift.
async function fill(place) {
  const answer = await fetch(place.dataset.fragment, { headers: { "Assay-Part": "1" } })
  if (!answer.ok) {
    place.querySelector("p")?.replaceChildren("This part could not be read. Reload the page to try again.")
    return
  }
  place.innerHTML = await answer.text()
  place.removeAttribute("data-fragment")
  const title = place.querySelector("template[data-title]")
  if (title) document.title = title.dataset.title
  fillAll(place)
  place.dispatchEvent(new Event("assay:replaced", { bubbles: true }))
}
function fillAll(within) {
  for (const place of within.querySelectorAll("[data-fragment]")) fill(place)
}
fillAll(document)
