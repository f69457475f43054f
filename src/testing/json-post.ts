/** Options of a request that posts JSON, for `fetch` and for an app in memory. */
export const jsonPost = (body: unknown, headers: Readonly<Record<string, string>> = {}) => ({
  method: "POST",
  headers: { "content-type": "application/json", ...headers },
  body: JSON.stringify(body),
});
