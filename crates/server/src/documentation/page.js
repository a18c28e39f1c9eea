// What the page does beyond being read: copying, filtering the list, the colours, where the reader is.
(() => {
  "use strict";
  const all = (query) => Array.from(document.querySelectorAll(query));

  for (const figure of all("figure")) {
    const code = figure.querySelector("code");
    // The server that sent the page is the one to try the examples on.
    code.textContent = code.textContent.replace("http://127.0.0.1:8080", location.origin);
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "Copy";
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(code.textContent);
        button.textContent = "Copied";
      } catch {
        // Without a secure connection there is no clipboard: select it for the reader.
        getSelection().selectAllChildren(code);
        button.textContent = "Selected";
      }
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
    figure.querySelector("figcaption").append(button);
  }

  const filter = document.getElementById("filter");
  filter.hidden = false;
  filter.addEventListener("input", () => {
    const words = filter.value.toLowerCase().split(/\s+/);
    for (const item of all("nav li")) {
      const text = (item.textContent + item.querySelector("a").hash).toLowerCase();
      item.hidden = !words.every((word) => text.includes(word));
    }
  });

  const theme = document.createElement("button");
  theme.type = "button";
  theme.className = "theme";
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const wear = (name) => {
    document.documentElement.dataset.theme = name;
    theme.textContent = name === "dark" ? "Light" : "Dark";
  };
  let chosen = null;
  try { chosen = localStorage.getItem("errand-theme"); } catch { /* a browser may forbid it */ }
  wear(chosen === "dark" || chosen === "light" ? chosen : dark.matches ? "dark" : "light");
  theme.addEventListener("click", () => {
    wear(document.documentElement.dataset.theme === "dark" ? "light" : "dark");
    try { localStorage.setItem("errand-theme", document.documentElement.dataset.theme); } catch { /* as above */ }
  });
  document.querySelector(".brand").append(theme);

  const links = new Map(all("nav li a").map((link) => [link.hash.slice(1), link]));
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      const link = links.get(entry.target.id);
      if (link && entry.isIntersecting) {
        for (const other of links.values()) other.removeAttribute("aria-current");
        link.setAttribute("aria-current", "true");
      }
    }
  }, { rootMargin: "-10% 0px -80% 0px" });
  for (const section of all(".operation, #errors, #schemas")) seen.observe(section);
})();
