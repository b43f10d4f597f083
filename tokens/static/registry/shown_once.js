"use strict";
// A reload must show the credential's own page, neither the secret again nor a second minting.
const page = document.getElementById("shown-once");
history.replaceState(null, "", page.dataset.leaveUrl);

for (const button of document.querySelectorAll("[data-copy]")) {
  button.addEventListener("click", async () => {
    const field = document.getElementById(button.dataset.copy);
    field.select();
    try {
      await navigator.clipboard.writeText(field.value);
    } catch {
      document.execCommand("copy"); // plain HTTP has no clipboard API
    }
    document.getElementById("copied").textContent = "Copied.";
  });
}
