// The page is whole without this script; with it, it opens at the error, prints unfolded, shows all code at once and
// pictures large.
(() => {
  const all = (selector) => [...document.querySelectorAll(selector)];

  const contents = document.querySelector(".contents > details");
  const wide = matchMedia("(min-width: 62rem)");
  const fold = () => { if (contents) contents.open = wide.matches; };
  wide.addEventListener("change", fold);
  fold();

  const button = document.querySelector(".show-code");
  const cells = all("details.code");
  if (button && cells.length) {
    button.hidden = false;
    button.addEventListener("click", () => {
      const shown = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", shown);
      cells.forEach((cell) => { cell.open = shown; });
    });
  }

  // on paper nothing folds and nothing scrolls: what is wider than the sheet is drawn smaller
  let folded = [];
  addEventListener("beforeprint", () => {
    folded = all("details:not([open])");
    folded.forEach((d) => { d.open = true; });
    document.body.style.width = "640px";
    all(".scroll").map((box) => [box, box.clientWidth / box.scrollWidth]).forEach(([box, share]) => {
      if (share < 0.99) box.firstElementChild.style.zoom = share;
    });
    document.body.style.width = "";
  });
  addEventListener("afterprint", () => {
    folded.forEach((d) => { d.open = false; });
    all(".scroll > [style]").forEach((child) => { child.style.zoom = ""; });
  });

  // a picture opens as large as it was drawn, or as the window; a click or Esc closes it
  const large = document.querySelector("dialog.large");
  if (large) {
    const stage = large.querySelector("div");
    all(".plot img, .cover img").forEach((picture) => {
      const open = document.createElement("button");
      open.type = "button";
      open.className = "enlarge";
      open.title = "Open large";
      open.setAttribute("aria-haspopup", "dialog");
      picture.replaceWith(open);
      open.append(picture);
      open.addEventListener("click", () => {
        const copy = picture.cloneNode();
        const [width, height] = [picture.naturalWidth || 300, picture.naturalHeight || 150];
        copy.style.width = `${width * Math.max(1, Math.min((innerWidth - 32) / width, (innerHeight - 32) / height))}px`;
        copy.removeAttribute("width");
        stage.replaceChildren(copy);
        large.showModal();
        stage.focus();
      });
    });
    large.addEventListener("click", () => large.close());
  }

  // what overflows scrolls in its own box, which a keyboard must reach, and says so
  const hint = (box, more) => {
    const said = box.previousElementSibling?.matches(".hint");
    box.classList.toggle("scrolls", more);
    if (more && !said) {
      const line = document.createElement("p");
      line.className = "hint";
      line.textContent = "↔ This table is wider than the page: it scrolls sideways.";
      box.before(line);
    } else if (!more && said) box.previousElementSibling.remove();
  };
  const boxes = () => {
    all("main p math, main li math, main td math").forEach((m) => {
      m.classList.toggle("wide", m.getBoundingClientRect().width > m.parentElement.clientWidth + 1 && m.parentElement.clientWidth > 0);
    });
    all(".scroll, pre").forEach((box) => {
      const more = box.scrollWidth > box.clientWidth + 1;
      if (more) box.tabIndex = 0;
      else box.removeAttribute("tabindex");
      if (box.matches("div.scroll")) hint(box, more);
    });
  };
  boxes();
  addEventListener("resize", boxes);
  all("details").forEach((fold) => fold.addEventListener("toggle", boxes));

  // where the reader is, in the contents
  const links = new Map(all(".contents a").map((a) => [decodeURIComponent(a.hash.slice(1)), a]));
  const headings = [...links.keys()].map((id) => document.getElementById(id)).filter(Boolean);
  const here = () => {
    const passed = headings.filter((h) => h.getBoundingClientRect().top < innerHeight / 3).pop();
    links.forEach((a, id) => {
      if (passed && id === passed.id) a.setAttribute("aria-current", "true");
      else a.removeAttribute("aria-current");
    });
  };
  addEventListener("scroll", here, { passive: true });

  addEventListener("load", () => {
    const error = document.getElementById("run-error");
    if (error && !location.hash) error.scrollIntoView({ behavior: "instant" });
    here();
  });
})();
