/** When all that follows from what was done has been done, as far as nothing else is waited for. */
export const nextTurn = (): Promise<void> =>
  new Promise((resolve) => {
    if (typeof setImmediate === "function") return void setImmediate(resolve);
    const { port1, port2 } = new MessageChannel(); // timers of pages wait for milliseconds
    const listener = () => {
      port1.close();
      resolve();
    };
    Object.assign(port1, { onmessage: listener }); // which also starts it
    port2.postMessage(0);
  });
