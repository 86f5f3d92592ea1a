"use strict";
(() => {
  const get = (id) => document.getElementById(id);
  // Paths are relative, so that the page also works below a path of a proxy.
  const base = new URL(location.pathname.replace(/\/?$/, "/"), location.origin);
  // So many texts are sent at once, and so many bytes; the server may say less.
  const limits = { texts: 32, bytes: 1 << 18 };
  const TRIES = 5;
  // So many rows are shown at once: more would be slow, and nobody reads them here.
  const ROWS = 500;
  // So many classes are shown before the others are folded away.
  const CLASSES = 8;
  // Of longer texts only the beginning is shown.
  const LONGEST = 4000;

  // The token and the models are kept nowhere but here.
  let token = null;
  let models = null;

  // ---- Words and numbers

  const grouped = (count) => count.toLocaleString("en");
  const plural = (count, one, many) => `${grouped(count)} ${count === 1 ? one : many}`;
  const percent = (share) => {
    if (share >= 0.9995 && share < 1) return ">99.9%";
    if (share < 0.0005 && share > 0) return "<0.1%";
    return `${(100 * share).toFixed(1)}%`;
  };
  const NONE = "none of the labels";
  // The classes of an answer: one, or those of a model of several labels.
  const chosen = (answer) => answer.labels ?? [answer.label];
  const inWords = (answer) => chosen(answer).join(", ") || NONE;
  const withShares = (answer) => chosen(answer).map((label) => `${label}, ${percent(answer.scores[label])}`).join("; ") || NONE;

  const element = (tag, properties = {}, ...children) => {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children);
    return made;
  };

  // What a server says of an error need not begin or end like a sentence.
  const sentence = (text) => text && text[0].toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");

  // ---- Questions to the server

  class Failure extends Error {
    constructor(message, remedy = "") {
      super(message);
      this.remedy = remedy;
    }
  }

  const pause = (seconds, signal) => new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, 1000 * seconds);
    signal.addEventListener("abort", () => { clearTimeout(timer); reject(signal.reason); }, { once: true });
  });

  // Asks until there is an answer: for a token where one is needed, and again where the server is busy.
  async function ask(path, body, signal, say) {
    for (let tries = 0; ;) {
      signal.throwIfAborted();
      const used = token;
      const headers = { Accept: "application/json" };
      if (body !== undefined) headers["Content-Type"] = "application/json";
      if (used !== null) headers.Authorization = `Bearer ${used}`;
      let answer;
      let content = null;
      try {
        answer = await fetch(new URL(path, base), {
          method: body === undefined ? "GET" : "POST",
          headers,
          body: body === undefined ? undefined : JSON.stringify(body),
          cache: "no-store",
          signal,
        });
        content = await answer.text();
      } catch (error) {
        if (signal.aborted) throw error;
        throw new Failure("The server does not answer.", "See whether it still runs and can be reached, and try again.");
      }
      if (answer.status === 401) {
        say("The server asks for a token.");
        await newToken(used, signal);
        say("");
        continue;
      }
      if (answer.status === 429 && tries < TRIES) {
        tries += 1;
        const after = Number(answer.headers.get("Retry-After"));
        const seconds = after > 0 ? Math.min(after, 60) : 1;
        say(`The server is busy: trying again in ${plural(seconds, "second", "seconds")} (${tries} of ${TRIES}).`);
        await pause(seconds, signal);
        continue;
      }
      let read;
      try {
        read = JSON.parse(content);
      } catch {
        // A proxy before the server may answer with a page of its own.
        throw new Failure(`The server answered ${answer.status}, and not as this page expects.`, "Try again later.");
      }
      // Perhaps the server has other models by now: the next question asks for them.
      if (read?.code === "no_such_model") models = null;
      if (!answer.ok) throw new Failure(sentence(read?.error) || `The server answered ${answer.status}.`, sentence(read?.remedy));
      signal.throwIfAborted();
      if (tries > 0) say("");
      return read;
    }
  }

  // All who wait for a token wait for the same.
  let asked = null;
  function newToken(used, signal) {
    if (token !== used) return Promise.resolve();
    if (asked === null) {
      asked = {};
      asked.promise = new Promise((resolve) => { asked.resolve = resolve; });
      asked.before = document.activeElement;
      get("access").hidden = false;
      get("access-why").textContent = used === null
        ? "This server answers only those who have its token."
        : "The server does not accept this token. Is it complete?";
      get("token").focus();
    }
    return new Promise((resolve, reject) => {
      asked.promise.then(resolve);
      signal.addEventListener("abort", () => reject(signal.reason), { once: true });
    });
  }
  get("access-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const typed = get("token").value.trim();
    // A header takes only these characters.
    if (!/^[\x21-\x7e]+$/.test(typed)) {
      get("access-why").textContent = typed === "" ? "Type the token first." : "A token has only letters, digits and signs of ASCII, and no spaces.";
      get("token").focus();
      return;
    }
    token = typed;
    get("token").value = "";
    get("access").hidden = true;
    showProgram();
    const { before, resolve } = asked;
    asked = null;
    (before && before !== document.body && !before.disabled ? before : get("text-input")).focus();
    resolve();
  });

  // ---- Models

  const pathOf = (model, task) => `v1/models/${encodeURIComponent(model.name)}/${task}`;
  const modelOf = (select) => models.find((model) => model.name === select.value) ?? models[0];

  // The models are asked for once; a second who needs them waits for the same answer.
  let loading = null;
  const load = (say) => {
    const { signal } = new AbortController();
    loading ??= ask("v1/models", undefined, signal, say)
      .then(showModels)
      .then(() => ask("info", undefined, signal, say))
      .then(showInformation)
      .finally(() => { loading = null; });
    return loading;
  };

  function showInformation(information) {
    if (information.max_client_batch_size >= 1) limits.texts = Math.min(limits.texts, information.max_client_batch_size);
    if (information.max_body_bytes >= 1) limits.bytes = Math.min(limits.bytes, information.max_body_bytes / 2);
    if (information.log_texts) get("text-kept").textContent = "Texts go only to this server, which writes them into its log. Nothing is kept in the browser.";
  }

  function showModels(answer) {
    if (!answer.models?.length) throw new Failure("The server has no models.");
    ({ models } = answer);
    const several = models.length > 1;
    document.querySelectorAll(".models").forEach((row) => { row.hidden = !several; });
    const options = () => models.map(({ name }) => new Option(name, name));
    const fill = (select, ...choices) => {
      const before = select.value;
      select.replaceChildren(...choices);
      select.value = choices.some(({ value }) => value === before) ? before : choices[0].value;
    };
    fill(get("text-other"), new Option("no other", ""), ...options());
    for (const part of ["text", "lines"]) {
      fill(get(`${part}-model`), ...options());
      showModel(part);
    }
  }
  for (const part of ["text", "lines"]) get(`${part}-model`).addEventListener("change", () => { if (models) showModel(part); });

  // What there is to know of the model that is chosen.
  function showModel(part) {
    const model = modelOf(get(`${part}-model`));
    const shown = model.labels.slice(0, CLASSES).join(", ");
    const more = model.labels.length > CLASSES ? ` and ${model.labels.length - CLASSES} more` : "";
    const name = models.length > 1 ? "" : `Model: ${model.name}. `;
    const classes = `${model.several_labels ? "Labels, any number for a text" : "Classes"}: ${shown}${more}.`;
    const reads = model.max_tokens ? ` It reads up to ${plural(model.max_tokens, "word", "words")} of a text.` : "";
    get(`${part}-model-note`).textContent = name + classes + reads;
    if (part !== "text") return;
    // A model is not compared with itself.
    for (const option of get("text-other").options) option.disabled = option.value === model.name;
    if (get("text-other").value === model.name) get("text-other").value = "";
    showProgram();
  }

  // ---- One piece of work at a time, which ends the one before

  function worker(part, result) {
    const [go, stop, status, error] = ["go", "stop", "status", "error"].map((name) => get(`${part}-${name}`));
    let current = null;
    const show = (problem) => error.replaceChildren(...[problem.message, problem.remedy].filter(Boolean).map((text) => element("p", { textContent: text })));
    stop.addEventListener("click", () => current?.abort());
    return async (work, waiting) => {
      current?.abort();
      const own = new AbortController();
      current = own;
      const say = (text) => { if (current === own && status.textContent !== text) status.textContent = text; };
      go.disabled = true;
      result.setAttribute("aria-busy", "true");
      error.replaceChildren();
      say("");
      // What is quick needs no word and no button.
      const slow = setTimeout(() => {
        stop.hidden = false;
        if (status.textContent === "") say(waiting);
      }, 300);
      own.signal.addEventListener("abort", () => clearTimeout(slow));
      try {
        // One who stops does not wait for what others wait for too.
        const stopped = new Promise((_, reject) => { own.signal.addEventListener("abort", () => reject(own.signal.reason)); });
        await Promise.race([work(own.signal, say, () => current !== own && current !== null), stopped]);
      } catch (problem) {
        if (current !== own) return;
        say(own.signal.aborted ? "Stopped." : "");
        if (!own.signal.aborted) {
          if (!(problem instanceof Failure)) console.error(problem);
          show(problem);
        }
      } finally {
        clearTimeout(slow);
        if (current === own) {
          current = null;
          const hadFocus = [document.body, go, stop].includes(document.activeElement);
          go.disabled = false;
          stop.hidden = true;
          result.removeAttribute("aria-busy");
          // A button that is disabled or hidden loses the focus.
          if (hadFocus && wasPressed) go.focus({ preventScroll: true });
        }
      }
    };
  }

  // Whether the work was begun by the button or the keyboard, and not by the page.
  let wasPressed = false;

  // A field with its button: what is in it, or nothing if there is no text in it.
  function onSubmit(part, missing, start) {
    const form = get(`${part}-form`);
    const field = get(`${part}-input`);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      wasPressed = true;
      const isEmpty = field.value.trim() === "";
      field.setAttribute("aria-invalid", String(isEmpty));
      if (isEmpty) {
        get(`${part}-error`).replaceChildren(element("p", { textContent: missing }));
        field.focus();
        return;
      }
      start(field.value);
    });
    field.addEventListener("input", () => field.removeAttribute("aria-invalid"));
    field.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.isComposing || !(event.ctrlKey || event.metaKey)) return;
      event.preventDefault();
      // Not by the button: that is disabled while another text is read.
      form.dispatchEvent(new SubmitEvent("submit", { cancelable: true }));
    });
  }

  // Names with numbers and bars; those behind the first few are folded away. The bar says nothing more than the number.
  function shares(rows, folded) {
    const list = (some) => element("ul", { className: "shares" }, ...some.map(({ name, shown, share, isChosen }) => {
      const bar = element("div");
      bar.style.setProperty("--share", `${100 * share}%`);
      const frame = element("div", { className: "bar" }, bar);
      frame.setAttribute("aria-hidden", "true");
      return element("li", { className: isChosen ? "chosen" : "" },
        element("span", { className: "name", dir: "auto", textContent: name }),
        element("span", { textContent: shown }), frame);
    }));
    if (rows.length <= CLASSES + 2) return [list(rows)];
    const rest = rows.slice(CLASSES);
    return [list(rows.slice(0, CLASSES)), element("details", {}, element("summary", { textContent: `${rest.length} ${folded}` }), list(rest))];
  }

  // ---- One text

  const textWork = worker("text", get("text-result"));

  // What is left to say of how the text was read.
  const READ = { head: "the first part", tail: "the last part", both: "the beginning and the end" };
  function remarks(answer, model) {
    const notes = [];
    if (answer.unknown_tokens > 0) {
      const verb = answer.unknown_tokens === 1 ? "is" : "are";
      notes.push(`${grouped(answer.unknown_tokens)} of ${plural(answer.tokens, "word", "words")} ${verb} not in the vocabulary.`);
    }
    if (answer.truncated) notes.push(`Only ${READ[model.truncation] ?? "a part"} of the text was read: ${plural(answer.tokens, "word", "words")}.`);
    return notes.map((text) => element("p", { textContent: text }));
  }

  function marked(parts) {
    return parts.map(({ text, level }) => {
      if (level === 0) return text;
      const kind = level > 0 ? "for" : "against";
      return element("mark", { className: `${kind} m${Math.min(3, Math.abs(level))}`, title: kind, textContent: text });
    });
  }

  // The answer of a model, in which the words are marked later.
  function card(model, answer, text, isNamed) {
    const picked = new Set(chosen(answer));
    const rows = Object.entries(answer.scores)
      .sort(([, a], [, b]) => b - a)
      .map(([name, share]) => ({ name, share, isChosen: picked.has(name), shown: model.several_labels && picked.has(name) ? `✓ ${percent(share)}` : percent(share) }));
    const subject = element("p", { className: "quiet", textContent: "Looking for the words that count…" });
    const body = element("div", { className: "explained", dir: "auto", textContent: text.length > LONGEST ? `${text.slice(0, LONGEST)} …` : text });
    const most = element("div");
    const node = element("article", { className: "answer" },
      element("h3", { textContent: isNamed ? `Answer of ${model.name}` : "Answer" }),
      element("p", { className: "predicted", dir: "auto", textContent: inWords(answer) }),
      ...shares(rows, "more classes"),
      ...(model.several_labels ? [element("p", { className: "quiet", textContent: "Each label has a probability of its own; ✓ marks those that the text has." })] : []),
      ...remarks(answer, model), subject, body, most);
    const explain = (explanation) => {
      const { parts, other, left_out: leftOut } = explanation;
      const against = other ? ` rather than “${other}”` : "";
      const isMarked = parts.some(({ level }) => level !== 0);
      subject.textContent = isMarked
        ? `Marked: what speaks for “${explanation.class}”${against}, and what speaks against it.`
        : "No word of the text counts much.";
      body.replaceChildren(...marked(parts));
      if (leftOut > 0) body.append(element("span", { className: "quiet", textContent: ` … (${plural(leftOut, "more character", "more characters")})` }));
      const named = explanation.ngrams?.length ? explanation.ngrams : explanation.tokens ?? [];
      const listed = [...named].sort((a, b) => Math.abs(b.contribution) - Math.abs(a.contribution)).slice(0, 8);
      if (listed.length > 0) {
        most.replaceChildren(element("details", {}, element("summary", { textContent: "What counts most" }),
          element("ul", { className: "most" }, ...listed.map(({ text: words, contribution }) => element("li", {},
            element("q", { dir: "auto", textContent: words }),
            ` ${contribution < 0 ? "against" : "for"}, ${contribution < 0 ? "−" : "+"}${Math.abs(contribution).toFixed(2)}`)))));
      }
      return isMarked;
    };
    // Without an explanation, the text is still there.
    const leave = () => { subject.textContent = "The words that count could not be found."; };
    return { node, explain, leave };
  }

  // An answer for one text may come alone or in a list.
  const only = (answer) => (Array.isArray(answer) ? answer[0] : answer);

  onSubmit("text", "There is no text: type or paste one first.", (text) => textWork(async (signal, say) => {
    const box = get("text-result");
    let isAnswered = false;
    try {
      await (models ?? load(say));
      signal.throwIfAborted();
      const used = [modelOf(get("text-model"))];
      if (get("text-other").value !== "") used.push(modelOf(get("text-other")));
      const isNamed = models.length > 1;
      const begin = performance.now();
      const answers = await Promise.all(used.map(async (model) => only(await ask(pathOf(model, "predict"), { inputs: text, details: true }, signal, say))));
      const took = Math.max(1, Math.round(performance.now() - begin));
      const cards = used.map((model, index) => card(model, answers[index], text, isNamed));
      get("text-answers").replaceChildren(...cards.map(({ node }) => node));
      get("text-key").hidden = true;
      box.hidden = false;
      isAnswered = true;
      if (used.length === 1) {
        say(`${withShares(answers[0])} (in ${grouped(took)} ms).`);
      } else {
        const [first, second] = answers.map(inWords);
        say(first === second ? `Both models say: ${first}.` : `The models differ: ${used[0].name} says ${first}, ${used[1].name} says ${second}.`);
      }
      const quiet = () => {};
      const explained = await Promise.allSettled(used.map((model) => ask(pathOf(model, "explain"), { inputs: text }, signal, quiet)));
      const isMarked = explained.map(({ value }, index) => (value ? cards[index].explain(only(value)) : cards[index].leave()));
      signal.throwIfAborted();
      get("text-key").hidden = !isMarked.some(Boolean);
      const failed = explained.find(({ status }) => status === "rejected");
      if (failed) throw failed.reason;
    } catch (problem) {
      // What is shown must not be taken for the answer that failed.
      if (!signal.aborted && !isAnswered) box.hidden = true;
      throw problem;
    }
  }, "Reading the text…"));

  // ---- Many lines

  const linesWork = worker("lines", get("lines-result"));
  let results = [];
  let sorted = null;

  const COLUMNS = [(row) => row.line, (row) => row.label, (row) => row.score, (row) => row.text];
  const order = (a, b) => (typeof a === "number" ? a - b : a.localeCompare(b, "en"));

  function showLines() {
    let rows = results;
    if (sorted) {
      const value = COLUMNS[sorted.column];
      rows = [...results].sort((a, b) => sorted.sign * order(value(a), value(b)));
    }
    const cell = (text, properties, v) => {
      const made = element("td", { textContent: text, ...properties });
      if (v !== undefined) made.dataset.v = v;
      return made;
    };
    get("lines-rows").replaceChildren(...rows.slice(0, ROWS).map((row) => element("tr", {},
      cell(grouped(row.line), { className: "number" }, row.line),
      cell(row.label, { dir: "auto" }),
      cell(percent(row.score), { className: "number" }, row.score),
      cell(row.text, { className: "text", dir: "auto" }))));
    get("lines-caption").textContent = rows.length > ROWS
      ? `The first ${ROWS} of ${grouped(rows.length)}; what is copied or saved has all`
      : plural(rows.length, "line", "lines");
    const counts = new Map();
    // A text of several labels counts for each of them.
    for (const row of results) for (const label of row.labels.length ? row.labels : [NONE]) counts.set(label, (counts.get(label) ?? 0) + 1);
    const shown = [...counts].sort(([, a], [, b]) => b - a).map(([name, count]) => {
      const share = count / results.length;
      return { name, share, shown: `${grouped(count)} (${percent(share)})` };
    });
    get("lines-counts").replaceChildren(...shares(shown, "more classes"));
    get("lines-result").hidden = results.length === 0;
  }

  // A press on the name of a column: first rising, then falling.
  const heads = [...get("lines-rows").parentElement.tHead.rows[0].cells];
  const showSorted = () => heads.forEach((head, column) => {
    if (sorted?.column === column) head.setAttribute("aria-sort", sorted.sign > 0 ? "ascending" : "descending");
    else head.removeAttribute("aria-sort");
  });
  heads.forEach((head, column) => {
    const button = element("button", { type: "button", textContent: head.textContent });
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      sorted = { column, sign: sorted?.column === column && sorted.sign > 0 ? -1 : 1 };
      showSorted();
      showLines();
    });
  });

  // The next lines that the server takes at once: at least one.
  function nextOf(rows, begin) {
    let end = begin;
    let bytes = 0;
    while (end < rows.length && end - begin < limits.texts) {
      bytes += new Blob([JSON.stringify(rows[end].text)]).size + 1;
      if (bytes > limits.bytes && end > begin) break;
      end += 1;
    }
    return rows.slice(begin, end);
  }

  onSubmit("lines", "There are no lines: type or paste some first.", (text) => linesWork(async (signal, say, isReplaced) => {
    const texts = text.split(/\r?\n/).map((line, index) => ({ line: index + 1, text: line })).filter((row) => row.text.trim() !== "");
    const bar = get("lines-bar");
    const found = [];
    const progress = () => {
      bar.max = texts.length;
      bar.value = found.length;
      get("lines-done").textContent = `${grouped(found.length)} of ${plural(texts.length, "line", "lines")}`;
    };
    const isWhole = () => found.length === texts.length;
    const finish = () => {
      results = found;
      sorted = null;
      showSorted();
      showLines();
      get("lines-progress").hidden = isWhole();
    };
    progress();
    get("lines-progress").hidden = false;
    get("lines-result").hidden = true;
    try {
      await (models ?? load(say));
      const model = modelOf(get("lines-model"));
      while (!isWhole()) {
        const batch = nextOf(texts, found.length);
        const answers = await ask(pathOf(model, "predict"), { inputs: batch.map((row) => row.text), details: true }, signal, say);
        batch.forEach((row, index) => {
          const answer = answers[index];
          found.push({ ...row, labels: chosen(answer), label: inWords(answer), score: answer.score });
        });
        progress();
      }
      finish();
      say(`${plural(texts.length, "line", "lines")} classified.`);
    } catch (problem) {
      // What there is already is shown, unless other lines are on their way.
      if (!isReplaced()) finish();
      throw problem;
    }
  }, "Classifying…"));

  // ---- Copies and files

  // Without a secure address there is no clipboard but the old one.
  async function copy(text) {
    if (navigator.clipboard && window.isSecureContext) {
      await navigator.clipboard.writeText(text);
      return;
    }
    const before = document.activeElement;
    const field = element("textarea", { value: text, readOnly: true });
    document.body.append(field);
    field.select();
    const isCopied = document.execCommand("copy");
    field.remove();
    before?.focus();
    if (!isCopied) throw new Error("the browser does not copy");
  }
  const copyAndSay = (text, status) => copy(text).then(
    () => { status.textContent = "Copied."; },
    () => { status.textContent = "The browser does not let this page copy."; },
  );

  const HEAD = ["line", "class", "probability", "text"];
  const table = () => [HEAD, ...results.map((row) => [row.line, row.labels.join(", "), row.score, row.text])];
  get("lines-copy").addEventListener("click", () => {
    const tsv = table().map((row) => `${row.map((value) => String(value).replaceAll(/[\t\r\n]/g, " ")).join("\t")}\n`).join("");
    copyAndSay(tsv, get("lines-status"));
  });
  get("lines-save").addEventListener("click", () => {
    const quoted = (value) => (/[",\r\n]/.test(value) ? `"${value.replaceAll("\"", "\"\"")}"` : value);
    const csv = table().map((row) => `${row.map((value) => quoted(String(value))).join(",")}\r\n`).join("");
    const address = URL.createObjectURL(new Blob([csv], { type: "text/csv;charset=utf-8" }));
    element("a", { href: address, download: "classes.csv" }).click();
    setTimeout(() => URL.revokeObjectURL(address), 10000);
    get("lines-status").textContent = "Saved as classes.csv.";
  });

  // ---- Use from a program

  function showProgram() {
    const model = models && modelOf(get("text-model"));
    const path = model && model !== models[0] ? pathOf(model, "predict") : "v1/predict";
    const parts = [`curl '${new URL(path, base).href.replaceAll("'", "%27")}'`, "-H 'Content-Type: application/json'"];
    // The token itself is not shown.
    if (token !== null) parts.push("-H \"Authorization: Bearer $TOKEN\"");
    parts.push("-d '{\"inputs\": \"Not bad at all!\"}'");
    get("program-curl").textContent = parts.join(" \\\n  ");
  }
  get("program-copy").addEventListener("click", () => copyAndSay(get("program-curl").textContent, get("program-status")));

  showProgram();
  textWork((_, say) => load(say), "Asking for the models…");
})();
