"use strict";
// A secret that is pasted into the search of a list must not go into a URL: it takes the way of the search for secrets.
const SECRET = /^(Bearer\s+)?(?=\S{20,}$)(\S+\.\S+\.\S+|\S+-[A-Za-z0-9+/=]{40,}|(?=\S*[a-z])(?=\S*[A-Z])(?=\S*\d)[\w-]{22,})$/;

document.addEventListener("submit", (event) => {
  const form = event.target;
  const field = form.querySelector("[name=q]");
  if (form.id !== "changelist-search" || !field || !SECRET.test(field.value.trim())) return;
  event.preventDefault();
  const post = document.createElement("form");
  post.method = "post";
  post.action = document.querySelector("#logout-form").action.replace(/logout\/$/, "find/");
  const token = document.querySelector("[name=csrfmiddlewaretoken]");
  for (const [name, value] of [["secret", field.value], ["csrfmiddlewaretoken", token.value]]) {
    const input = document.createElement("input");
    [input.type, input.name, input.value] = ["hidden", name, value];
    post.append(input);
  }
  field.value = "";
  document.body.append(post);
  post.submit();
}, true);

// The fields that complete what is typed have no name for screen readers: they get that of the field they stand for.
const nameFields = () => {
  for (const select of document.querySelectorAll("select.select2-hidden-accessible")) {
    const label = document.querySelector(`label[for="${select.id}"]`);
    const field = select.nextElementSibling?.querySelector("[role=combobox]");
    if (!label || !field || field.dataset.isNamed) continue;
    label.id ||= `label_${select.id}`;
    for (const part of [field, ...field.querySelectorAll("[role=textbox], [role=searchbox]")]) {
      part.setAttribute("aria-labelledby", `${label.id} ${part.getAttribute("aria-labelledby") ?? ""}`.trim());
    }
    field.dataset.isNamed = "yes";
  }
};
new MutationObserver(nameFields).observe(document.documentElement, { childList: true, subtree: true });

// A second click while the server works would mint or rotate again, and end the secret that was to stay good for a while.
// What is chosen in a list only asks, or is a download, after which the page stays. So it does for whoever has stopped
// waiting: after ten seconds a click counts again.
const WAIT_MS = 10_000;
let sent = new WeakMap();
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (event.defaultPrevented || form.method !== "post" || form.id === "changelist-form") return;
  if (event.timeStamp - sent.get(form) < WAIT_MS) event.preventDefault();
  else sent.set(form, event.timeStamp);
});
window.addEventListener("pageshow", () => { sent = new WeakMap(); });
