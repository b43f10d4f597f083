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
window.addEventListener("load", () => {
  for (const select of document.querySelectorAll("select.select2-hidden-accessible")) {
    const label = document.querySelector(`label[for="${select.id}"]`);
    const shown = select.nextElementSibling?.querySelector("[role=combobox]");
    if (!label || !shown) continue;
    label.id ||= `label_${select.id}`;
    shown.setAttribute("aria-labelledby", `${label.id} ${shown.getAttribute("aria-labelledby") ?? ""}`.trim());
  }
});
