import alarms from './alarms.json';
import channels from './channels.json';
import common from './common.json';
import credentials from './credentials.json';
import errors from './errors.json';
import grants from './grants.json';
import instances from './instances.json';
import layout from './layout.json';
import messages from './messages.json';
import overview from './overview.json';
import reasons from './reasons.json';
import sharedGroups from './sharedGroups.json';
import signIn from './signIn.json';
import start from './start.json';
import tokens from './tokens.json';
import topics from './topics.json';

export default { alarms, channels, common, credentials, errors, grants, instances, layout, messages, overview, reasons, sharedGroups, signIn, start, tokens, topics };
