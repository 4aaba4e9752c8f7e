// Asks for the token of a recorder that others can reach. It is kept in memory only: neither the address, nor a cookie, nor
// a storage of the browser ever holds it.

import { byId, setText } from "./dom.js";

/// Asks, and promises what was given.
export function askToken(wasRefused) {
  const [dialog, field] = [byId("token"), byId("token-text")];
  setText(byId("token-wrong"), wasRefused ? "The recorder does not take this token." : "");
  field.value = "";
  dialog.showModal();
  return new Promise((given) => {
    // A closed dialog asks again: without a token there is nothing to show.
    const onClose = () => {
      const token = take(field);
      // What a header cannot carry is no token.
      given(/^[\x21-\x7e]+$/.test(token) ? token : askToken(token !== ""));
    };
    dialog.addEventListener("close", onClose, { once: true });
  });
}

function take(field) {
  const token = field.value.trim();
  field.value = "";
  return token;
}
