/** The API as functions: every call has a deadline, and every refusal is an ApiProblem with words for a person. */
import type {
  AcceptedView,
  ApplicationDetailView,
  ApplicationsView,
  CollectorsView,
  DestinationPreviewView,
  DestinationsView,
  DestinationTypesView,
  MetaView,
  NewDestinationRequest,
  ProblemView,
  SwitchPlanView,
} from './api.gen'

const READ_MILLIS = 15_000
const WRITE_MILLIS = 30_000

export class ApiProblem extends Error {
  constructor(readonly view: ProblemView) {
    super(view.detail)
  }

  get isSyncing(): boolean {
    return this.view.type === 'syncing'
  }

  get isMissing(): boolean {
    return this.view.status === 404
  }
}

export function problemOf(error: unknown): ProblemView {
  if (error instanceof ApiProblem) return error.view
  const detail = error instanceof Error ? error.message : String(error)
  return { type: 'fault', title: 'Fault', status: 0, detail, field: '', fix: 'Reload the page.' }
}

const AWAY: ProblemView = {
  type: 'away',
  title: 'No answer',
  status: 0,
  detail: 'odigos-cp does not answer.',
  field: '',
  fix: 'Run the port-forward again; the page goes on by itself.',
}

async function call<T>(method: string, path: string, body?: unknown): Promise<T> {
  const writes = method !== 'GET'
  const headers: Record<string, string> = writes ? { 'x-odigos-ui': '1', 'content-type': 'application/json' } : {}
  let answer: Response
  try {
    answer = await fetch(path, {
      method,
      headers,
      body: body === undefined ? null : JSON.stringify(body),
      signal: AbortSignal.timeout(writes ? WRITE_MILLIS : READ_MILLIS),
    })
  } catch {
    throw new ApiProblem(AWAY)
  }
  const said = read(await answer.text().catch(() => ''))
  if (answer.ok && said !== null) return said as T
  throw new ApiProblem(isProblem(said) ? said : { ...AWAY, status: answer.status, detail: `odigos-cp answered ${answer.status}.` })
}

/** Characters that turn the text around them about: what comes from a cluster shall not reach beyond itself. */
const TURNING = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g

function read(text: string): unknown {
  try {
    return JSON.parse(text.replace(TURNING, '\ufffd'))
  } catch {
    return null
  }
}

function isProblem(said: unknown): said is ProblemView {
  return typeof said === 'object' && said !== null && 'detail' in said && 'type' in said
}

/** namespace/Kind/name as a path; a namespace's own target is namespace/Namespace/namespace. */
function target(id: string): string {
  return `/api/sources/${id.split('/').map(encodeURIComponent).join('/')}`
}

export const api = {
  meta: () => call<MetaView>('GET', '/api/meta'),
  sources: () => call<ApplicationsView>('GET', '/api/sources'),
  source: (id: string) => call<ApplicationDetailView>('GET', target(id)),
  plan: (id: string, on: boolean) => call<SwitchPlanView>('GET', `${target(id)}/plan?instrument=${on}`),
  instrument: (id: string, on: boolean) => call<AcceptedView>('PUT', target(id), { instrument: on }),
  collectors: () => call<CollectorsView>('GET', '/api/collectors'),
  destinations: () => call<DestinationsView>('GET', '/api/destinations'),
  destinationTypes: () => call<DestinationTypesView>('GET', '/api/destination-types'),
  addDestination: (wish: NewDestinationRequest) => call<AcceptedView>('POST', '/api/destinations', wish),
  previewDestination: (wish: NewDestinationRequest) =>
    call<DestinationPreviewView>('POST', '/api/destinations?dryRun=true', wish),
  removeDestination: (name: string) => call<AcceptedView>('DELETE', `/api/destinations/${encodeURIComponent(name)}`),
}
