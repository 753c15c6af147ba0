/** What backends are asked to find the one that has what a message is about. It changes nothing at any of them. Pure. */

export interface Question {
  readonly method: "resources/read" | "tasks/get";
  /** The member of params that names it, and its value. */
  readonly member: "uri" | "taskId";
  readonly value: string;
  readonly what: "resource" | "task";
}

export function whoseResource(uri: string): Question {
  return { method: "resources/read", member: "uri", value: uri, what: "resource" };
}

export function whoseTask(taskId: string): Question {
  return { method: "tasks/get", member: "taskId", value: taskId, what: "task" };
}
