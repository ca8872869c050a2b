// Passkeys: shows what needs them where the browser has them, and says what went wrong.
// The ceremony itself is in mfa/js/webauthn.js, which comes with django-allauth.

const reasons = {
  NotAllowedError: "The browser was not allowed to use a passkey: it was called off, took too long, or there is none for this site.",
  InvalidStateError: "This device has a passkey for your account already.",
  SecurityError: "Passkeys work on the site’s own address only, over https or on localhost.",
};

document.addEventListener("allauth.error", (event) => {
  event.preventDefault(); // else it is only logged
  const place = document.getElementById("passkey-trouble");
  place.textContent = reasons[event.detail.exception.name] ?? "The passkey could not be used. Try again, or use another way to sign in.";
  place.hidden = false;
});

if (globalThis.webauthnJSON?.supported()) {
  for (const element of document.querySelectorAll("[data-needs-passkeys]")) {
    element.hidden = false;
  }
}
