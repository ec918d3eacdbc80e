/// The two encodings of public points that clients use: the bytes of the point, and a DER OCTET STRING around them
/// (CKA_EC_POINT; PKCS#11 3.2, 6.3.3). Which it is follows from the length.
public enum PointEncoding {
  /// The content of a DER OCTET STRING that fills `bytes`, or nil when `bytes` is none.
  public static func content(ofOctetString bytes: [UInt8]) -> [UInt8]? {
    guard bytes.count >= 2, bytes[0] == 0x04 else { return nil }
    let first = Int(bytes[1])
    if first < 0x80 { return first == bytes.count - 2 ? Array(bytes[2...]) : nil }
    if first == 0x81, bytes.count >= 3, bytes[2] >= 0x80 {
      return Int(bytes[2]) == bytes.count - 3 ? Array(bytes[3...]) : nil
    }
    return nil
  }

  /// The DER OCTET STRING with this content, of at most 255 bytes as all points are.
  public static func octetString(_ content: [UInt8]) -> [UInt8] {
    let count = UInt8(truncatingIfNeeded: content.count)
    return count < 0x80 ? [0x04, count] + content : [0x04, 0x81, count] + content
  }

  /// The point in either encoding, without the OCTET STRING. `fieldByteCount` is the size of a coordinate: points of Weierstrass
  /// curves have one or two and a leading byte, those of Edwards and Montgomery curves one and none.
  public static func point(_ bytes: [UInt8], fieldByteCount count: Int) -> [UInt8]? {
    if isPoint(bytes, count) { return bytes }
    guard let content = content(ofOctetString: bytes), isPoint(content, count) else { return nil }
    return content
  }

  private static func isPoint(_ bytes: [UInt8], _ count: Int) -> Bool {
    switch bytes.first {
    case 0x04? where bytes.count == 2 * count + 1: true
    case 0x02?, 0x03?: bytes.count == count + 1 || bytes.count == count
    default: bytes.count == count
    }
  }
}
