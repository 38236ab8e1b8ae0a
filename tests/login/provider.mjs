// SPDX-License-Identifier: GPL-3.0-or-later
// A certified OpenID Connect provider with people of its own. Its folder, port and hubs come as arguments.
// POST /test/<person> changes what is said of a person; the answer counts renewals. A status of person "token" is all that is
// answered where tokens are given.
import { createServer } from 'node:https'
import { readFileSync } from 'node:fs'
import Provider from 'oidc-provider'

const [folder, port, ...hubs] = process.argv.slice(2)
const issuer = `https://127.0.0.1:${port}`
const people = JSON.parse(readFileSync(`${folder}/people.json`))
const calls = { refreshed: 0 }

const provider = new Provider(issuer, {
  clients: [{
    client_id: 'hub',
    client_secret: readFileSync(`${folder}/client-secret`, 'utf8'),
    redirect_uris: hubs.map((hub) => `${hub}/hub/oauth_callback`),
    post_logout_redirect_uris: hubs.map((hub) => `${hub}/`),
    grant_types: ['authorization_code', 'refresh_token'],
    token_endpoint_auth_method: 'client_secret_basic',
  }],
  claims: {
    openid: ['sub'],
    profile: ['preferred_username', 'groups'],
    email: ['email', 'email_verified'],
    // As CILogon has it.
    'org.cilogon.userinfo': ['eppn', 'idp', 'idp_name', 'isMemberOf'],
  },
  scopes: ['openid', 'offline_access', 'profile', 'email', 'org.cilogon.userinfo'],
  // Short, so that the hub has to renew within the test.
  ttl: { AccessToken: 4, RefreshToken: 3600, Session: 3600, Grant: 3600, Interaction: 600, IdToken: 60 },
  clockTolerance: 0,
  rotateRefreshToken: true,
  findAccount: (_ctx, id) => people[id] && ({ accountId: id, claims: () => ({ sub: id, ...people[id] }) }),
})
provider.on('grant.success', (ctx) => { if (ctx.oidc.params.grant_type === 'refresh_token') calls.refreshed += 1 })

const answer = provider.callback()
createServer({ key: readFileSync(`${folder}/tls.key`), cert: readFileSync(`${folder}/tls.crt`) }, (request, response) => {
  if (people.token.status && request.url === '/token') {
    response.statusCode = people.token.status
    return response.end()
  }
  const test = request.url.match(/^\/test\/(\w+)$/)
  if (!test) return answer(request, response)
  let body = ''
  request.on('data', (part) => { body += part })
  request.on('end', () => {
    if (body) Object.assign(people[test[1]], JSON.parse(body))
    response.setHeader('Content-Type', 'application/json')
    response.end(JSON.stringify(calls))
  })
}).listen(port, '127.0.0.1', () => console.log('ready'))
