// The page is complete without this: it only adds the order, the opacity and the mark of the section in view.
"use strict";
const controls = document.getElementById("controls"), cards = document.getElementById("cards");
if (controls && cards) {
  controls.hidden = false;
  controls.addEventListener("submit", event => event.preventDefault());
  const order = document.getElementById("order"), opacity = document.getElementById("opacity");
  order.addEventListener("change", () => {
    const key = order.value, turn = "down" in order.selectedOptions[0].dataset ? -1 : 1;
    const compare = key === "name"
      ? (a, b) => a.dataset.name.localeCompare(b.dataset.name)
      : (a, b) => turn * (a.dataset[key] - b.dataset[key]);
    cards.append(...[...cards.children].sort(compare));
  });
  opacity.addEventListener("input", () => {
    cards.style.setProperty("--opacity", opacity.value / 100);
    document.getElementById("shown").value = `${opacity.value} %`;
  });
}
const links = new Map([...document.querySelectorAll("nav a")].map(link => [link.hash.slice(1), link]));
const inView = new Set();
const observer = new IntersectionObserver(entries => {
  for (const entry of entries) entry.isIntersecting ? inView.add(entry.target) : inView.delete(entry.target);
  const first = [...document.querySelectorAll("section")].find(section => inView.has(section));
  for (const [key, link] of links) {
    if (first && first.id === key) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
}, { rootMargin: "-15% 0px -60% 0px" });
for (const section of document.querySelectorAll("section")) observer.observe(section);
