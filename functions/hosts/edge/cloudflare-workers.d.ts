/**
 * The little of the Workers runtime that the edge host uses. Its full types would redefine `fetch` and its kin for the
 * whole project, which runs on Node as well.
 */
declare module "cloudflare:workers" {
  /** One of its kind in the world by its name, for as long as it is used. */
  export abstract class DurableObject<Env> {
    protected readonly env: Env;
    constructor(state: unknown, env: Env);
  }

  /** Methods may be called from elsewhere; arguments and results are copied, and errors lose their class. */
  export interface DurableObjectNamespace<T> {
    getByName(name: string): Stub<T>;
  }
  type Stub<T> = { [Method in keyof T as T[Method] extends Rpc ? Method : never]: T[Method] };
  type Rpc = (...args: never[]) => Promise<unknown>;

  /** A binding to the static files that are deployed with the worker. */
  export interface StaticAssets {
    fetch(url: string): Promise<Response>;
  }
}
