// Requests to the API, with the key that this tab keeps until it closes.

export const getKey = () => sessionStorage.getItem("key");
export const keepKey = (key) => sessionStorage.setItem("key", key);
export const forgetKey = () => sessionStorage.removeItem("key");

export const ask = (path, options = {}) =>
  fetch(path, { ...options, cache: "no-store", headers: { Authorization: `Bearer ${getKey()}` } });

/** Moves a key from the address (`#key=…`) to the tab. Returns true if there was one. */
export function moveKeyFromAddress() {
  const given = new URLSearchParams(location.hash.slice(1)).get("key");
  if (given) {
    keepKey(given);
    history.replaceState(null, "", location.pathname);
  }
  return Boolean(given);
}
