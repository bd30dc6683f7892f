import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

/** name.gz beside each text file: Debrief sends it to whoever accepts gzip. */
function gzipBeside() {
  let directory;
  return {
    name: "gzip-beside",
    apply: "build",
    configResolved(config) {
      directory = config.build.outDir;
    },
    closeBundle() {
      for (const entry of readdirSync(directory, { recursive: true, withFileTypes: true })) {
        if (!entry.isFile() || !/\.(js|css|html|svg)$/.test(entry.name)) continue;
        const path = join(entry.parentPath ?? entry.path, entry.name);
        writeFileSync(`${path}.gz`, gzipSync(readFileSync(path), { level: 9 }));
      }
    },
  };
}

// The API of a running Debrief (contrib/demo prints its address) behind `npm run dev`.
const debrief = process.env.DEBRIEF_URL ?? "http://127.0.0.1:8080";

export default defineConfig({
  plugins: [react(), gzipBeside()],
  server: { proxy: { "/api": debrief } },
  build: {
    target: "es2022",
    // The content security policy allows no data: scripts, and the voice SDK's worklets are files.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    // The voice SDK, which loads only when a call is made with it.
    chunkSizeWarningLimit: 700,
  },
});
