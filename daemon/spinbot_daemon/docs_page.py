"""`/docs`: FastAPI's own page loads its script from a CDN; this one works on a machine without a network."""

from __future__ import annotations

PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>spinbot API</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#223}
h2{margin:2rem 0 .2rem;font-size:1.05rem}code,pre{font:14px/1.4 ui-monospace,monospace}
pre{background:#f4f4f8;padding:.7rem;overflow:auto;border-radius:.4rem}.m{color:#b3261e;font-weight:700}
td,th{text-align:left;padding:.15rem 1rem .15rem 0;vertical-align:top}
@media (prefers-color-scheme:dark){body{background:#15161c;color:#dde}pre{background:#22242e}}
</style>
<h1>spinbot API</h1>
<p>Over TCP send <code>Authorization: Bearer $(spinbot token)</code>; the unix socket asks for nothing.
Errors of every kind are <code>{"error", "hint", "exitCode"}</code>. The document itself: <a href="/openapi.json">
/openapi.json</a>.</p>
<h2><span class="m">WS</span> <code>/ws?jobId=gen-7f3k2q&amp;after=1764-0</code></h2>
<p>Live events of the jobs asked for (<code>jobId</code> may repeat; none means all jobs), first a snapshot of each.
<code>after</code> is the last id seen; 0 is from the beginning. Closes with 1000 when all are over, 4404 for an unknown
job, 4401 without the token (<code>?token=</code>), 4400 for a bad query.</p>
<main>…</main>
<script>
const cell = (tag, text) => Object.assign(document.createElement(tag), {textContent: text});
const kind = s => s.enum ? s.enum.join(" | ") : s.anyOf ? s.anyOf.filter(a => a.type !== "null").map(kind).join(" | ")
  : s.const ?? (s.type === "array" ? kind(s.items) + "[]" : s.format || s.type || "");
fetch("/openapi.json").then(r => r.json()).then(api => {
  const main = document.querySelector("main"); main.textContent = "";
  for (const [path, methods] of Object.entries(api.paths)) for (const [method, op] of Object.entries(methods)) {
    const title = cell("h2", " " + path), verb = cell("span", method.toUpperCase()); verb.className = "m";
    title.prepend(verb); main.append(title, cell("p", op.description || op.summary));
    const rows = (op.parameters || []).map(p => [p.name + " (" + p.in + ")", kind(p.schema), p.description]);
    const body = op.requestBody?.content["application/json"].schema.properties || {};
    for (const [name, s] of Object.entries(body)) rows.push([name, kind(s), s.description]);
    if (!rows.length) continue;
    const table = document.createElement("table");
    for (const row of rows) { const tr = table.insertRow(); row.forEach(text => tr.append(cell("td", text || ""))); }
    main.append(table);
  }
}).catch(error => document.querySelector("main").textContent = error);
</script></html>
"""


def docs_page() -> str:
    return PAGE
