import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { App } from "./app";
import { loadConfig } from "./config";
import { readSignIn } from "./signin";
import "./styles/base.css";
import "./styles/pages.css";

const signedIn = readSignIn(); // before anything else: the token must leave the address
const config = await loadConfig();

createRoot(document.getElementById("app")!).render(
  <StrictMode>
    <App config={config} initial={signedIn} />
  </StrictMode>,
);
