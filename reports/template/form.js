// What is typed is read as `course run` would read it, and written so that a shell and YAML give the same values back.
(() => {
  const get = (id) => document.getElementById(id);
  const controls = [...document.querySelectorAll("[data-name]")];
  const { command, file } = get("asked").dataset;

  // a number as both take it; YAML wants a point and the sign of an exponent; null: it is none
  const whole = (text) => (/^[+-]?\d+(_\d+)*(\.0+)?$/.test(text) ? String(BigInt(text.replace(/_|\.0+$/g, ""))) : null);
  const real = (text) => {
    if (!/^[+-]?(\d+(_\d+)*\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text)) return null;
    const number = Number(text.replaceAll("_", ""));
    const [digits, power] = (Object.is(number, -0) ? "-0" : String(number)).split("e");
    return Number.isFinite(number) ? digits + (digits.includes(".") ? "" : ".0") + (power ? `e${power}` : "") : null;
  };

  const unseen = /[\0-\x1f\x7f-\x9f\u2028\u2029]/;  // a terminal would act on it
  const word = /^(?!(?:true|false|yes|no|on|off|null|y|n)$)[a-z][\w./-]*$/i;
  const escaped = /["\\\0-\x1f\x7f-\x9f\u00ad\u200b-\u200f\u2028-\u202f\u2060-\u206f\ufeff\ufff0-\uffff\ud800-\udfff]/gu;
  const code = (sign) => `\\u${sign.codePointAt(0).toString(16).padStart(4, "0")}`;
  const yaml = (text) => (word.test(text) ? text : `"${text.replace(escaped, (sign) => (/["\\]/.test(sign) ? `\\${sign}` : code(sign)))}"`);
  const shell = (text) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'"'"'`)}'`);

  // {yaml, line} of a control's text; line is null where no command line can say it; `wrong` is what is the matter
  const one = (about, text) => {
    if (about.item === "bool") return { yaml: { yes: "true", no: "false" }[text] ?? null, line: text };
    if (about.item === "str") return { yaml: yaml(text), line: text };
    const number = (about.item === "int" ? whole : real)(text.trim());
    const inside = number !== null && (about.low === "" || (Number(number) >= Number(about.low) && Number(number) <= Number(about.high)));
    return { yaml: inside ? number : null, line: number };
  };
  const read = (control, text) => {
    const about = control.dataset;
    const many = "many" in about;
    const parts = many ? text.split("lines" in about ? "\n" : ",").map((part) => part.trim()).filter(Boolean) : [text];
    const choices = about.choices?.split("|");
    const values = parts.map((part) => (choices && !choices.includes(part) ? { yaml: null } : one(about, part)));
    const bad = parts.filter((_, i) => values[i].yaml === null);
    if (bad.length) return { wrong: `${bad.join(", ") || "Nothing"}: it needs ${about.needs}` };
    if (!parts.length || (!many && about.item === "str" && !("empty" in about) && !text.trim())) return { wrong: `It is empty; it needs ${about.needs}` };
    const line = values.map((value) => value.line).join(",");
    const split = many && (parts.some((part) => part.includes(",")) || /^\[.*\]$/.test(line));
    return {
      yaml: many ? `[${values.map((value) => value.yaml).join(", ")}]` : values[0].yaml,
      line: split || unseen.test(line) ? null : line,
    };
  };

  const usual = (control) => (control.matches("select") ? [...control.options].find((o) => o.defaultSelected)?.value : control.defaultValue);
  const link = (name, i) => {
    const to = document.createElement("a");
    to.href = `#knob-${name}`;
    to.textContent = name;
    return i ? [", ", to] : [to];
  };
  const write = () => {
    const changed = [];
    const wrong = [];
    controls.forEach((control) => {
      const { name } = control.dataset;
      const now = read(control, control.value);
      const differs = now.yaml !== read(control, usual(control)).yaml;
      get(`wrong-${name}`).textContent = now.wrong ?? "";
      control.setAttribute("aria-invalid", Boolean(now.wrong));
      control.closest(".knob").classList.toggle("bad", Boolean(now.wrong));
      control.closest(".knob").classList.toggle("turned", differs && !now.wrong);
      if (now.wrong) wrong.push(name);
      else if (differs) changed.push({ name, ...now });
    });
    const lines = changed.map(({ name, yaml: value }) => `${yaml(name)}: ${value}`);
    const mute = changed.filter(({ line }) => line === null).map(({ name }) => name);
    const words = changed.filter(({ line }) => line !== null).map(({ name, line }) => ` -p ${shell(`${name}=${line}`)}`);
    get("ways").hidden = wrong.length > 0;
    get("command").textContent = mute.length ? `No command line can say ${mute.join(", ")}: take the file.` : command + words.join("");
    document.querySelector('[data-copies="command"]').hidden = mute.length > 0;
    get("yaml").textContent = lines.length ? lines.join("\n") : "{}";
    get("save").href = `data:application/yaml;charset=utf-8,${encodeURIComponent(`${get("yaml").textContent}\n`)}`;
    const counted = (names) => `${names.length} knob${names.length > 1 ? "s" : ""}`;
    const said = changed.length ? `${counted(changed)} changed: ${changed.map(({ name }) => name).join(", ")}.` : "Every knob has its default.";
    get("said").replaceChildren(...(wrong.length ? ["To be mended first: ", ...wrong.flatMap(link)] : [said]));
    get("said").classList.toggle("wrong", wrong.length > 0);
    get("reset").hidden = !wrong.length && !changed.length;
  };

  const form = document.querySelector("form");
  form.addEventListener("input", write);
  form.addEventListener("submit", (event) => event.preventDefault());
  get("reset").addEventListener("click", () => { form.reset(); write(); controls[0]?.focus(); });
  get("save").download = file;
  get("save").hidden = false;
  document.querySelectorAll("[data-copies]").forEach((button) => {
    const words = button.textContent;
    button.hidden = false;
    button.addEventListener("click", async () => {
      const from = get(button.dataset.copies);
      let done = true;
      try {
        await navigator.clipboard.writeText(from.textContent);
      } catch {  // not allowed to pages from a file, in some browsers
        getSelection().selectAllChildren(from);
        done = document.execCommand("copy");
      }
      button.textContent = done ? "Copied" : "Selected: copy it by keyboard";
      setTimeout(() => { button.textContent = words; }, 2000);
    });
  });
  write();
})();
