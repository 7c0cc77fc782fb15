// What is wrong with a page for those who cannot see it well or not at all; every list should be empty.
() => {
  const all = (selector) => [...document.querySelectorAll(selector)];

  const nameless = all("input:not([type=hidden]), select, textarea, button, a, summary")
    .filter((element) => !(element.getAttribute("aria-label") || element.textContent).trim())
    .filter((element) => ![...(element.labels || [])].some((label) => label.textContent.trim()))
    .map((element) => element.outerHTML);

  const ids = all("[id]").map((element) => element.id);
  const twice = ids.filter((id, at) => ids.indexOf(id) !== at);

  const pointers = ["for", "aria-labelledby", "aria-describedby"];
  const dangling = all(pointers.map((name) => `[${name}]`).join())
    .flatMap((element) => pointers.map((name) => element.getAttribute(name)))
    .filter((id) => id && !document.getElementById(id));

  // Every visible text against what lies behind it: WCAG 2.2, success criterion 1.4.3. The canvas reads any colour.
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = (top, below) => [0, 1, 2].map((at) => top[at] * top[3] + below[at] * (1 - top[3])).concat(1);
  const behind = (element) => {
    const layers = [];
    for (let at = element; at; at = at.parentElement) layers.push(rgba(getComputedStyle(at).backgroundColor));
    return layers.reduceRight((below, top) => over(top, below), rgba(getComputedStyle(document.body).backgroundColor));
  };
  const linear = (part) => (part / 255 <= 0.04045 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4);
  const light = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const ratio = (a, b) => (Math.max(light(a), light(b)) + 0.05) / (Math.min(light(a), light(b)) + 0.05);

  const pale = [];
  let texts = 0;
  const check = (element, pseudo, text) => {
    texts += 1;
    const style = getComputedStyle(element, pseudo);
    const ground = behind(element);
    const ink = rgba(style.color);
    ink[3] *= parseFloat(style.opacity);
    const got = ratio(over(ink, ground), ground);
    if (got < 4.5) pale.push(`${got.toFixed(2)} ${element.tagName}.${element.className}${pseudo ?? ""} ${text}`);
  };
  const shows = (element, pseudo) => {
    if (pseudo === "::placeholder") return element.placeholder && !element.value;
    return !["none", "normal", '""'].includes(getComputedStyle(element, pseudo).content);
  };
  for (const element of all("body *")) {
    if (!element.checkVisibility({ checkOpacity: true, checkVisibilityCSS: true })) continue;
    const nodes = [...element.childNodes].filter((node) => node.nodeType === Node.TEXT_NODE);
    const text = nodes.map((node) => node.data.trim()).join("") || (element.matches("input:not([type=checkbox])") && element.value);
    if (text) check(element, null, text);
    for (const pseudo of ["::before", "::after", "::placeholder"]) {
      if (shows(element, pseudo)) check(element, pseudo, "");
    }
  }
  return { nameless, twice, dangling, pale, texts };
}
