"use strict";
// A reload must show the credential's own page, neither the secret again nor a second minting.
const page = document.getElementById("shown-once");
history.replaceState(null, "", page.dataset.leaveUrl);

page.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const field = document.getElementById(button.dataset.copy);
  field.select();
  try {
    await navigator.clipboard.writeText(field.value);
  } catch {
    document.execCommand("copy"); // plain HTTP has no clipboard API
  }
  document.getElementById("copied").textContent = "Copied.";
});
