
// Each table of runs: sorted, filtered and searched.
document.querySelectorAll(".every").forEach((section) => {
  const table = section.querySelector("table.runs");
  const body = table.tBodies[0];
  const form = section.querySelector(".sieve");
  const field = (name) => form.querySelector(`[data-by="${name}"]`);
  const [text, parameter, value, metric] = ["text", "parameter", "value", "metric"].map(field); // not all have `metric`
  const facts = [...form.querySelectorAll("[data-fact]")].map((select) => select.dataset.by);
  const heads = [...table.tHead.rows[0].cells];
  const METRICS = heads.findIndex((head) => "metrics" in head.dataset); // a column of several numbers
  const order = new Intl.Collator("en", { numeric: true }).compare;

  const data = JSON.parse(document.getElementById(section.dataset.runs).textContent);
  const same = new Map(Object.entries(data.same).map(([notebook, values]) => [notebook, new Map(Object.entries(values))]));
  const runs = data.runs.map((run, i) => ({
    ...run, row: body.rows[i], metrics: new Map(Object.entries(run.metrics)), differs: new Map(Object.entries(run.differs)),
  }));
  const valueOf = (run, name) => (run.differs.has(name) ? run.differs.get(name) : same.get(run.notebook).get(name)) ?? null;
  const words = (run) => (run.words ??= run.row.textContent.toLowerCase().replace(/\s+/g, " "));

  // what can be chosen is what there is
  const distinct = (values) => [...new Set(values)].filter((v) => v !== null).sort(order);
  const offer = (select, values, all) => {
    select.replaceChildren(new Option(all, ""), ...values.map((v) => new Option(v, v)));
  };
  facts.forEach((name) => offer(field(name), distinct(runs.map((run) => run[name])), "all"));
  if (metric) offer(metric, distinct(runs.flatMap((run) => [...run.metrics.keys()])), "the key ones");
  const names = distinct([...same.values(), ...runs.map((run) => run.differs)].flatMap((values) => [...values.keys()]));
  const varied = new Set(runs.flatMap((run) => [...run.differs.keys()]));
  parameter.append(new Option("any", ""));
  [["Differ between runs", true], ["The same in all runs of a notebook", false]].forEach(([label, which]) => {
    const group = document.createElement("optgroup");
    group.label = label;
    group.append(...names.filter((name) => varied.has(name) === which).map((name) => new Option(name, name)));
    if (group.children.length) parameter.append(group);
  });
  const offerValues = () => {
    const name = parameter.value;
    offer(value, name ? distinct(runs.map((run) => valueOf(run, name))) : [], "any");
    value.disabled = !name;
  };

  const narrow = () => {
    const asked = text.value.toLowerCase().split(/\s+/).filter(Boolean);
    const wanted = facts.map((name) => [name, field(name).value]).filter(([, one]) => one);
    let shown = 0;
    runs.forEach((run) => {
      const fits = wanted.every(([name, one]) => run[name] === one)
        && (!parameter.value || (value.value ? valueOf(run, parameter.value) === value.value : valueOf(run, parameter.value) !== null))
        && (!metric?.value || run.metrics.has(metric.value))
        && asked.every((word) => words(run).includes(word));
      run.row.hidden = !fits;
      shown += fits;
    });
    form.querySelector("output").textContent = `${shown.toLocaleString("en")} of ${runs.length.toLocaleString("en")} runs`;
    form.querySelector("button").disabled = !asked.length && ![...form.querySelectorAll("select")].some((one) => one.value);
    section.querySelector(".none").hidden = shown > 0;
  };

  // one metric alone when one is chosen; else runs are told apart by the name of their first, then by its value
  const focus = () => {
    table.querySelectorAll(".metric").forEach((one) => { one.hidden = Boolean(metric?.value) && one.dataset.name !== metric.value; });
  };
  const key = (run, column) => {
    if (column !== METRICS) return [run.keys[column]];
    return metric.value ? [run.metrics.get(metric.value) ?? null] : run.metrics.entries().next().value ?? [null];
  };
  const compare = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b : order(a, b));
  const sort = () => {
    const column = heads.findIndex((head) => head.hasAttribute("aria-sort"));
    if (column < 0) return; // as they came
    const way = heads[column].getAttribute("aria-sort") === "ascending" ? 1 : -1;
    runs.forEach((run) => { run.key = key(run, column); });
    const sorted = [...runs].sort(({ key: a }, { key: b }) => {
      if (a[0] === null || b[0] === null) return (a[0] === null) - (b[0] === null); // what is not known comes last
      return way * (compare(a[0], b[0]) || (a.length > 1 ? compare(a[1], b[1]) : 0));
    });
    body.append(...sorted.map((run) => run.row));
  };
  const sortBy = (head, way) => {
    heads.forEach((one) => one.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", way);
    sort();
  };
  heads.forEach((head) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      sortBy(head, head.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending");
      changed();
    });
  });

  // what was asked is kept in the address, so that the way back from a report leads to the same rows
  const fields = [...form.querySelectorAll("input, select")];
  const sorting = section.dataset.runs.replace("data", "sort");
  const keep = () => {
    const ours = new Set([sorting, ...fields.map((one) => one.id)]);
    const others = [...new URLSearchParams(location.hash.slice(1))] // of other tables
      .filter(([name]) => /^(by-|sort)/.test(name) && !ours.has(name));
    const filled = fields.filter((one) => one.value).map((one) => [one.id, one.value]);
    const asked = new URLSearchParams([...others, ...filled]);
    const [head] = table.querySelectorAll("[aria-sort]");
    if (head) asked.set(sorting, `${heads.indexOf(head)} ${head.getAttribute("aria-sort")}`);
    history.replaceState(null, "", `#${asked}`);
  };
  const recall = () => {
    const asked = new URLSearchParams(location.hash.slice(1));
    fields.forEach((one) => {
      if (one === value) offerValues();
      one.value = asked.get(one.id) ?? "";
      if (one.selectedIndex === -1) one.selectedIndex = 0; // there is no such run any more
    });
    const [, column, way] = /^(\d+) ((?:a|de)scending)$/.exec(asked.get(sorting) ?? "") ?? [];
    if (heads[column]) sortBy(heads[column], way);
  };
  let waiting;
  const changed = () => { focus(); narrow(); clearTimeout(waiting); waiting = setTimeout(keep, 300); };

  const choose = (select, then) => select.addEventListener("change", () => { then(); changed(); });
  text.addEventListener("input", changed);
  choose(parameter, offerValues);
  if (metric) choose(metric, sort);
  [...facts.map(field), value].forEach((select) => choose(select, () => {}));
  form.addEventListener("submit", (event) => event.preventDefault());
  form.querySelector("button").addEventListener("click", () => {
    fields.forEach((one) => { one.value = ""; });
    offerValues();
    sort();
    changed();
    text.focus(); // the button is off now
  });
  form.hidden = false;
  recall();
  focus();
  narrow();
});
