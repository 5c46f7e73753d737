// Cuts GitHub's official OpenAPI description down to the operations a pull
// request review runner uses and tightens it, so that prism starts in about two
// seconds and rejects what GitHub would reject (plus a few things GitHub would
// silently ignore). Nothing generated here is meant to be committed.
//
//   node cut.mjs [--ghes 3.19] [--prefix /api/v3] [--no-strict] [--out FILE]
//
// --ghes takes the Enterprise Server description of that version, under /api/v3.
// The description is data from the npm package named in package.json
// (config.openapi): 29 MB to fetch, of which the one file needed (13 MB) is
// kept in .spec/; the whole package would be 394 MB on disk.
import fs from 'node:fs';
import path from 'node:path';
import { fetchFile, specDir } from './fetch.mjs';

const args = process.argv.slice(2);
const opt = (name) => { const i = args.indexOf(name); return i < 0 ? undefined : args[i + 1]; };
const ghes = opt('--ghes');
const strict = !args.includes('--no-strict');
const flavour = ghes ? `ghes-${ghes}` : 'api.github.com';
const prefix = opt('--prefix') ?? (ghes ? '/api/v3' : '');
const out = opt('--out') ?? path.join(specDir, `${flavour}.cut${strict ? '' : '.loose'}${prefix.replaceAll('/', '_')}.json`);

// ---------------------------------------------------------------- operations
const R = '/repos/{owner}/{repo}';
const KEEP = {
  '/user': ['get'],
  [`${R}/statuses/{sha}`]: ['post'],
  [`${R}/compare/{basehead}`]: ['get'],
  [`${R}/pulls`]: ['get'],
  [`${R}/pulls/{pull_number}`]: ['get'],
  [`${R}/pulls/{pull_number}/files`]: ['get'],
  [`${R}/pulls/{pull_number}/reviews`]: ['get', 'post'],
  [`${R}/pulls/{pull_number}/reviews/{review_id}`]: ['delete'],
  [`${R}/pulls/{pull_number}/comments`]: ['get', 'post'],
  [`${R}/pulls/comments/{comment_id}`]: ['patch'],
  [`${R}/collaborators/{username}/permission`]: ['get'],
  [`${R}/issues/{issue_number}/comments`]: ['get', 'post'],
  [`${R}/issues/comments/{comment_id}`]: ['patch'],
  [`${R}/issues/comments/{comment_id}/reactions`]: ['post'],
};

const src = JSON.parse(fs.readFileSync(fetchFile('openapi', `generated/${flavour}.json`)));
const clone = (x) => JSON.parse(JSON.stringify(x));

// ---------------------------------------------------------------------- cut
const api = { openapi: src.openapi, info: { title: src.info.title, version: src.info.version, license: src.info.license },
  servers: [{ url: '/' }], paths: {}, components: {} };
const missing = [];
for (const [p, methods] of Object.entries(KEEP)) {
  for (const m of methods) {
    const op = src.paths[p]?.[m];
    if (!op) { missing.push(`${m.toUpperCase()} ${p}`); continue; }
    (api.paths[p] ??= {})[m] = clone(op);
  }
}
if (missing.length) throw new Error(`not in the ${flavour} description:\n  ${missing.join('\n  ')}`);

const ops = () => Object.entries(api.paths).flatMap(([p, ms]) => Object.entries(ms).map(([m, op]) => ({ p, m, op })));
const deref = (o) => (o && o.$ref ? clone(o.$ref.slice(2).split('/').reduce((n, k) => n[k], src)) : o);

for (const { p, op } of ops()) {
  op.parameters = (op.parameters ?? []).map(deref);
  for (const code of Object.keys(op.responses)) {
    // GitHub's own 400/422 bodies would hide prism's violation report.
    if (code === '400' || code === '422') { delete op.responses[code]; continue; }
    const r = (op.responses[code] = deref(op.responses[code]));
    // The example Link header points at https://api.github.com: a client under
    // test that follows it would leave loopback (and take its token along).
    if (r.headers) { delete r.headers.Link; delete r.headers.Location; }
    // Prism matches Accept exactly; GitHub answers its vendor types with JSON.
    const json = r.content?.['application/json'];
    if (json) r.content['application/vnd.github+json'] = clone(json);
  }
  if (op.responses['304']) delete op.responses['304'].content;
}

// The diff/patch media types are described only in prose for "get a pull request".
const DIFF = 'diff --git a/file1.txt b/file1.txt\nindex 1269488..8c2f4a1 100644\n--- a/file1.txt\n+++ b/file1.txt\n@@ -1,2 +1,3 @@\n data\n+more\n end\n';
for (const p of [`${R}/pulls/{pull_number}`, `${R}/compare/{basehead}`])
  for (const t of ['diff', 'patch'].flatMap((x) => [`application/vnd.github.${x}`, `application/vnd.github.v3.${x}`]))
    api.paths[p].get.responses['200'].content[t] = { schema: { type: 'string' }, example: DIFF };

// ------------------------------------------------------------------ tighten
if (strict) {
  // 1. Authorization: the description declares no security at all.
  api.components.securitySchemes = { bearer: { type: 'http', scheme: 'bearer' } };
  for (const { op } of ops()) op.security = [{ bearer: [] }];
  // 2. Headers every request must carry (GitHub answers 403 without a User-Agent;
  //    the description is that of API version 2022-11-28).
  const headers = [
    { name: 'User-Agent', in: 'header', required: true, schema: { type: 'string', minLength: 3 } },
    { name: 'X-GitHub-Api-Version', in: 'header', required: true, schema: { type: 'string', enum: ['2022-11-28'] } },
  ];
  const SHA = '^[0-9a-f]{40}$';
  for (const { op } of ops()) {
    op.parameters.push(...clone(headers));
    for (const q of op.parameters) {
      if (q.in === 'query' && q.name === 'per_page') Object.assign(q.schema, { minimum: 1, maximum: 100 });
      if (q.in === 'query' && q.name === 'page') q.schema.minimum = 1;
      if (q.in === 'path' && (q.name === 'sha' || q.name === 'commit_sha')) q.schema.pattern = SHA;
      if (q.in === 'path' && q.name === 'basehead') q.schema.pattern = '^.+\\.\\.\\..+$';
    }
    // 3. Unknown body fields: GitHub ignores them, a typo would go unseen.
    const body = op.requestBody?.content?.['application/json']?.schema;
    if (body) {
      const seal = (s) => {
        if (!s || typeof s !== 'object' || s.$ref) return;
        if (s.properties && s.additionalProperties === undefined) s.additionalProperties = false;
        Object.values(s.properties ?? {}).forEach(seal);
        if (s.items) seal(s.items);
        for (const k of ['oneOf', 'anyOf', 'allOf']) (s[k] ?? []).forEach(seal);
      };
      seal(body);
      for (const k of ['commit_id', 'head_sha']) if (body.properties?.[k]) body.properties[k].pattern = SHA;
      // 4. A comment or review body: 65,536 characters.
      if (body.properties?.body?.type === 'string') body.properties.body.maxLength = 65536;
      if (body.properties?.description && body.properties?.context) body.properties.description.maxLength = 140; // statuses
    }
  }
  // 5. Inline comments of a review: line numbers and sides, no diff positions.
  const item = api.paths[`${R}/pulls/{pull_number}/reviews`].post.requestBody.content['application/json'].schema.properties.comments.items;
  for (const k of ['side', 'start_side']) item.properties[k] = { type: 'string', enum: ['LEFT', 'RIGHT'] };
  for (const k of ['line', 'start_line']) item.properties[k] = { type: 'integer', minimum: 1 };
  delete item.properties.position;
  item.properties.body.maxLength = 65536;
  item.required = ['path', 'body', 'line', 'side'];
  // 6. GitHub wants a body whenever the event is COMMENT or REQUEST_CHANGES.
  const review = api.paths[`${R}/pulls/{pull_number}/reviews`].post;
  review.requestBody.required = true;
  review.requestBody.content['application/json'].schema.oneOf = [
    { properties: { event: { enum: ['COMMENT', 'REQUEST_CHANGES'] }, body: { minLength: 1 } }, required: ['event', 'body'] },
    { properties: { event: { enum: ['APPROVE'] } }, required: ['event'] },
    { not: { required: ['event'] } },
  ];
}

// ------------------------------------------------- referenced components only
const seen = new Set();
(function walk(n) {
  if (!n || typeof n !== 'object') return;
  if (typeof n.$ref === 'string' && !seen.has(n.$ref)) {
    seen.add(n.$ref);
    const [, , kind, name] = n.$ref.split('/');
    const target = clone(src.components[kind][name]);
    (api.components[kind] ??= {})[name] = target;
    walk(target);
  }
  Object.values(n).forEach(walk);
})(api.paths);
// Two of GitHub's examples break GitHub's own schemas: mend them.
const examples = [...ops().flatMap(({ op }) => Object.values(op.responses)), ...Object.values(api.components.examples ?? {})];
(function mend(n, key) {
  if (!n || typeof n !== 'object') return;
  if ((key === 'requested_teams' || key === 'teams') && Array.isArray(n)) for (const t of n) if (t?.slug) t.type ??= 'organization';
  if (n.permission && n.user?.login && 'role_name' in n) n.user.role_name ??= n.role_name;
  for (const [k, v] of Object.entries(n)) mend(v, k);
})(examples);

// Prose is two thirds of the bytes and no use to a mock.
(function strip(n, key) {
  if (!n || typeof n !== 'object') return;
  if (key !== 'properties' && key !== 'value' && key !== 'example') {
    if (typeof n.description === 'string') n.description = '';
    delete n.externalDocs; delete n['x-github']; delete n['x-octokit'];
  }
  if (key === 'value' || key === 'example') return;
  for (const [k, v] of Object.entries(n)) strip(v, k);
})(api);

if (prefix) api.paths = Object.fromEntries(Object.entries(api.paths).map(([p, v]) => [prefix + p, v]));
fs.mkdirSync(path.dirname(out), { recursive: true });
fs.writeFileSync(out, JSON.stringify(api));
console.error(`${out}: ${ops().length} operations, ${seen.size} components, ${(fs.statSync(out).size / 1024).toFixed(0)} KiB`);
console.log(out);
